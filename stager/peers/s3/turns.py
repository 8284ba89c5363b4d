"""How many calls go to a store at a time: half as many where it has too much to do, then by and by more again."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# How often it is checked, while others have the turns, whether to go on.
POLL_SECONDS = 0.2


class Turns:
    """The turns of calls; before a store says that it has too much to do, each call has one at once.

    Parameters
    ----------
    check
        Called while a turn is waited for; what it raises ends the waiting.
    """

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._news = threading.Condition()
        self._mine = threading.local()
        self._under_way = 0
        self.at_once = math.inf

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Have a turn while the body runs: a call that is made within another has that one's."""
        if getattr(self._mine, "is_had", False):
            yield
            return
        while not self._taken():
            self._check()
        self._mine.is_had = True
        try:
            yield
        finally:
            self._mine.is_had = False
            with self._news:
                self._under_way -= 1
                self._news.notify()

    def _taken(self) -> bool:
        with self._news:
            if self._under_way + 1 > self.at_once:
                self._news.wait(POLL_SECONDS)
            if self._under_way + 1 > self.at_once:
                return False
            self._under_way += 1
            return True

    def halve(self) -> None:
        """Have half as many calls go at a time as go now, with the one that has just ended; one at least."""
        with self._news:
            self.at_once = max(1.0, min(self.at_once, self._under_way + 1) // 2)

    def add(self) -> None:
        """Count a call that went well: after as many as go at a time, one more does."""
        with self._news:
            self.at_once += 1 / self.at_once
            self._news.notify()
