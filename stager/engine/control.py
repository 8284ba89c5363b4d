"""The control of a transfer by its caller: progress, and cancellation."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from stager.errors import Cancelled


class StopSignal(Protocol):
    """What is set once a transfer is to stop, as `threading.Event` is."""

    def is_set(self) -> bool:
        """Return whether it is set."""


class Control:
    """Reports progress at most every ``interval`` seconds and once at the end, and cancels.

    Parameters
    ----------
    report
        Called with the bytes and files done since this object was made, in
        the thread that called the engine.
    cancelled
        Once it is set, the engine stops within ``interval`` seconds with
        `Cancelled`; a system call that is under way (fsync) is waited for.
    interval
        Seconds between two reports.
    """

    def __init__(self, report: Callable[[int, int], None], cancelled: StopSignal, interval: float = 0.3) -> None:
        self._report = report
        self._cancelled = cancelled
        self._interval = interval
        self._next = time.monotonic() + interval
        self.bytes_done = 0
        self.files_done = 0

    def advance(self, size_bytes: int, files: int = 0) -> None:
        """Add progress, and raise `Cancelled` if the transfer was cancelled."""
        self.bytes_done += size_bytes
        self.files_done += files
        now = time.monotonic()
        if now >= self._next:
            self._next = now + self._interval
            self.check()
            self._report(self.bytes_done, self.files_done)

    def check(self) -> None:
        """Raise `Cancelled` if the transfer was cancelled."""
        if self._cancelled.is_set():
            raise Cancelled

    def finish(self) -> None:
        """Report the final progress."""
        self.check()
        self._report(self.bytes_done, self.files_done)


def unattended() -> Control:
    """Return a control that reports nothing and is never cancelled."""
    return Control(lambda _bytes, _files: None, threading.Event())
