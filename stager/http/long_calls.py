"""The limit on long calls (streams, uploads, and those that wait for an outcome) that a user may hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from stager.errors import TooManyLongCalls


class LongCalls:
    """Counts the long calls of each user at this service."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: Counter[str] = Counter()

    @contextmanager
    def one_more(self, username: str | None) -> Iterator[None]:
        """Count a call while the body runs; without a user, where authentication is off, calls are not counted.

        Raises
        ------
        TooManyLongCalls
            The user holds as many as the site allows.
        """
        if username is None:
            yield
            return
        if self._held[username] >= self._most:
            raise TooManyLongCalls(username, self._most)
        self._held[username] += 1
        try:
            yield
        finally:
            self._held -= Counter((username,))
