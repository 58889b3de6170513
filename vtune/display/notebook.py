"""The live display of a run in a notebook: one output that is redrawn in place, whatever runs the notebook."""

from __future__ import annotations

import sys
import time
from typing import Any

from vtune.display import cards

SECONDS = 0.5
"""The least time between two drawings."""

_BAR = (
    "<div style='background:rgba(128,136,146,.25);border-radius:4px;height:8px;max-width:420px;margin:4px 0'>"
    "<div style='background:#3567cf;border-radius:4px;height:8px;width:{share:.1%}'></div></div>"
)


def in_notebook() -> bool:
    """Whether the code runs in a notebook's kernel (Jupyter, Colab, Kaggle, VS Code), which can redraw an output.

    >>> in_notebook()
    False
    """
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


class NotebookBar:
    """A bar with facts below it, in one output.

    Args:
      name: the study's name.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._handle: Any = None
        self._drawn = 0.0
        self._last = ("", 0.0, "")

    def draw(self, counts: str, share: float, facts: str, *, last: bool = False) -> None:
        """Redraws the output; not more often than a reader can follow, but always the last time.

        Args:
          counts: how many trials are over, of how many.
          share: of the work that is done, 0 to 1.
          facts: what else there is to say.
          last: whether this is the end.
        """
        self._last = (counts, share, facts)
        now = time.monotonic()
        if not last and self._handle is not None and now - self._drawn < SECONDS:
            return
        self._drawn = now
        self._show()

    def say(self, text: str) -> None:
        """Puts a text in the place of the facts."""
        self.draw(self._last[0], self._last[1], text)

    def close(self) -> None:
        """Draws what was said last."""
        self._show()

    def _show(self) -> None:
        from IPython.display import HTML, display  # there is a notebook, hence IPython

        counts, share, facts = self._last
        parts = [cards.title(self._name), _BAR.format(share=min(max(share, 0.0), 1.0))]
        drawn = HTML(cards.card(*parts, f"<div>{cards.text(counts)}</div><div>{cards.text(facts)}</div>"))
        if self._handle is None:
            self._handle = display(drawn, display_id=True)
        else:
            self._handle.update(drawn)
