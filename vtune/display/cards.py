"""Small HTML cards that notebooks show in place of a repr: plain tables that read on light and dark grounds."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from vtune.display.text import plain, short

_QUIET = "opacity:.7"
_LINE = "border-bottom:1px solid rgba(128,136,146,.25)"
_CELL = f"padding:3px 14px 3px 0;text-align:left;{_LINE};font-variant-numeric:tabular-nums"


def text(value: Any) -> str:
    """A value as HTML that shows it as it is.

    >>> text("<b>")
    '&lt;b&gt;'
    """
    return html.escape(plain(short(value)))


def title(name: str, line: str = "") -> str:
    """A heading with a quiet line below it."""
    below = f"<div style='{_QUIET}'>{text(line)}</div>" if line else ""
    return f"<div style='font-size:1.15em;font-weight:600'>{text(name)}</div>{below}"


def pairs(values: Mapping[str, Any]) -> str:
    """Names and values below one another.

    >>> pairs({"lr": 0.1}).count("<tr>")
    1
    """
    rows = "".join(
        f"<tr><td style='{_CELL};{_QUIET}'>{text(name)}</td><td style='{_CELL}'>{text(value)}</td></tr>"
        for name, value in values.items()
    )
    return f"<table style='border-collapse:collapse;margin:6px 0'>{rows}</table>"


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table; lines of a cell stay lines.

    >>> table(["trial"], [[1], [2]]).count("<tr>")
    3
    """
    top = "".join(f"<th style='{_CELL};{_QUIET};font-weight:400'>{text(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td style='{_CELL}'>{_lines(v)}</td>" for v in row) + "</tr>" for row in rows)
    return f"<table style='border-collapse:collapse;margin:6px 0'><tr>{top}</tr>{body}</table>"


def card(*parts: str) -> str:
    """Parts below one another, in the font of the page."""
    return f"<div style='line-height:1.45;max-width:1000px;overflow-x:auto'>{''.join(parts)}</div>"


def _lines(value: Any) -> str:
    return "<br>".join(map(text, value.split("\n"))) if isinstance(value, str) else text(value)
