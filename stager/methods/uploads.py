"""Uploads of one product that go several at once, while their results are taken in the product's order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

from stager.engine import Control
from stager.errors import Cancelled
from stager.peers.connections import left_once

T = TypeVar("T")
OnBytes = Callable[[int], None]
# Seconds between two looks at whether to stop.
_POLL_SECONDS = 0.2
# What has arrived and is not reported: above this, uploads wait for the caller, who may slow them down.
_MOST_UNCOUNTED_BYTES = 16 << 20


class Uploads(Generic[T]):
    """Does uploads in threads; the first error ends them all, and none goes on when the block is left.

    Parameters
    ----------
    on_arrived
        Called in the caller's thread with each file's path in the product and what it is at the server, in the
        order in which the uploads were begun.
    control
        Takes progress, and says when to stop.
    at_once
        How many go at a time.
    """

    def __init__(self, on_arrived: Callable[[str, T], None], control: Control, *, at_once: int) -> None:
        self._on_arrived = on_arrived
        self._control = control
        self._at_once = at_once
        self._pool = ThreadPoolExecutor(at_once)
        self._begun: deque[Future[Mapping[str, T]]] = deque()  # and not told
        self._news = threading.Condition()
        self._has_news = False
        self._uncounted_bytes = 0
        self._left = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        with self._news:
            self._news.notify_all()
        self._pool.shutdown(cancel_futures=True)

    def begin(self, upload: Callable[[OnBytes], Mapping[str, T]]) -> None:
        """Begin an upload, once there are not too many.

        Parameters
        ----------
        upload
            Is given what counts the bytes that have arrived, and returns the files that have.

        Raises
        ------
        StagingError
            One that was begun before has failed, or the transfer is cancelled.
        """
        self._wait(all_but=self._at_once - 1)
        going = self._pool.submit(self._done, upload)
        going.add_done_callback(self._tell_news)
        self._begun.append(going)

    def _done(self, upload: Callable[[OnBytes], Mapping[str, T]]) -> Mapping[str, T]:
        with left_once(self._left.is_set):
            return upload(self._count)

    def finish(self) -> None:
        """Wait for all; raises as `begin`."""
        self._wait(all_but=0)
        self.look()

    def look(self) -> None:
        """Take what has arrived; raises as `begin`."""
        with self._news:
            counted, self._uncounted_bytes, self._has_news = self._uncounted_bytes, 0, False
            self._news.notify_all()
        for one in self._begun:
            if one.done():
                one.result()
        self._control.advance(counted)
        while self._begun and self._begun[0].done():
            for path, file in self._begun.popleft().result().items():
                self._control.advance(0, 1)
                self._on_arrived(path, file)

    def _wait(self, *, all_but: int) -> None:
        self.look()
        while sum(not one.done() for one in self._begun) > all_but:
            with self._news:
                self._news.wait_for(lambda: self._has_news, _POLL_SECONDS)
            self.look()

    def _count(self, size_bytes: int) -> None:
        """Count what has arrived, and return once most of it is reported."""
        with self._news:
            self._uncounted_bytes += size_bytes
            self._has_news = True
            self._news.notify_all()
            self._news.wait_for(lambda: self._left.is_set() or self._uncounted_bytes <= _MOST_UNCOUNTED_BYTES)
        if self._left.is_set():
            raise Cancelled

    def _tell_news(self, _: Future[Mapping[str, T]]) -> None:
        with self._news:
            self._has_news = True
            self._news.notify_all()
