"""Values as text for people: the same in tables, figures, the command line and the app."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd


def short(value: Any, digits: int = 4) -> str:
    """A value in as few characters as tell it apart: four significant digits for floats, an en dash for missing.

    Args:
      value: anything; floats are shortened, None and NaN are missing.
      digits: significant digits kept of a float.

    Returns:
      The text.

    >>> short(0.000123456), short(0.98), short(54321.0), short(None), short("relu"), short(True)
    ('1.235e-4', '0.98', '54,321', '–', 'relu', 'True')
    """
    if value is None or value is pd.NA or (isinstance(value, float | np.floating) and math.isnan(value)):
        return "–"
    if isinstance(value, float | np.floating):
        if 0 < abs(float(value)) < 1e-3 or math.isinf(value):
            mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
            return f"{float(mantissa):g}e{int(power)}" if power else mantissa
        if 10**digits <= abs(float(value)) < 1e7:
            return f"{value:,.0f}"
        mantissa, _, power = f"{value:.{digits}g}".partition("e")
        return f"{mantissa}e{int(power)}" if power else mantissa
    return str(value)


def duration(seconds: float | None) -> str:
    """A length of time in one or two units.

    >>> duration(5.2), duration(130), duration(8000), duration(200000), duration(None)
    ('5 s', '2 min 10 s', '2 h 13 min', '2 d 7 h', '–')
    """
    if seconds is None:
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def as_python(config: Mapping[str, Any]) -> str:
    """A configuration as a Python literal, one hyperparameter a line.

    >>> print(as_python({"lr": 0.001, "optimizer": "adam"}))
    {
        "lr": 0.001,
        "optimizer": "adam",
    }
    """

    def literal(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)

    lines = [f"    {literal(str(name))}: {literal(value)}," for name, value in config.items()]
    return "\n".join(["{", *lines, "}"]) if lines else "{}"


def plain(text: str) -> str:
    """A text without control characters, so that a name cannot move the cursor of a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
