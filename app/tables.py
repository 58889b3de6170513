"""Tables: rows of a frame, and names with values. Names come from users and are never read as Markdown or HTML."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from vtune.display.text import plain, short


def table(frame: pd.DataFrame, *, wide: Sequence[str] = (), **settings: Any) -> None:
    """Shows rows: floats in four digits, empty cells as a dash.

    Args:
      frame: what to show; the column `id` is called "trial".
      wide: columns with long texts.
      **settings: further arguments of `st.dataframe`.
    """
    shown = frame.rename(columns={"id": "trial"})
    config: dict[str, Any] = {}
    for name in shown.columns:
        values = shown[name]
        if pd.api.types.is_float_dtype(values):
            config[name] = st.column_config.NumberColumn(name, format="%.4g")
        elif pd.api.types.is_integer_dtype(values):
            config[name] = st.column_config.NumberColumn(name, format="%d" if name == "trial" else "localized")
        else:
            config[name] = st.column_config.TextColumn(name, width="large" if name in wide else None)
            shown[name] = values.map(lambda value: None if value is None or value != value else short(value))
    given = settings.pop("column_config", {})
    st.dataframe(shown, hide_index=True, placeholder="–", column_config=config | given, **settings)


def pairs(title: str, values: Mapping[str, Any]) -> None:
    """Shows names and values below each other, under a small title."""
    st.markdown(f"**{title}**")
    rows = "".join(
        f"<tr><td>{html.escape(plain(str(name)))}</td><td>{html.escape(plain(short(value)))}</td></tr>"
        for name, value in values.items()
    )
    st.html(f"<table class='vtune-pairs'>{rows}</table>")
