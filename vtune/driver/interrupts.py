"""Ctrl-C and SIGTERM as a flag that the loop reads between chunks, so that nothing is torn."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any

from vtune.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """While entered, the first signal asks for an orderly end; a second Ctrl-C ends at once.

    In a thread other than the main one, where Python delivers no signals, it does nothing.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._impatient = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            self._impatient = True
            raise KeyboardInterrupt
        self.received = signal.Signals(number)

    def check(self) -> None:
        """Raises `Interrupted` once a signal has come."""
        self.check_torn()
        if self.received is not None:
            raise Interrupted(f"{self.received.name} received")

    def check_torn(self) -> None:
        """Raises the KeyboardInterrupt of a second Ctrl-C again, if it was lost.

        Compiled code may drop what is raised in it and go on with what it has not computed (SciPy's Sobol points were
        then all the same): nothing that came after may be stored.
        """
        if self._impatient:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def heeded(self) -> Iterator[None]:
        """Raises the KeyboardInterrupt of a second Ctrl-C in place of an error: what it tore may be the reason."""
        try:
            yield
        except Exception:
            self.check_torn()
            raise
