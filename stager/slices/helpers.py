"""The helpers of a copy: slices are done by them and by this process, and their results are taken in order."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stager.paths import Descriptor
from stager.privileges import is_kept_from_its_user
from stager.slices.helper import READY, receive, send
from stager.slices.work import Slice

_WAITING = 8  # slices done or handed out whose turn has not come
_AHEAD = 2  # slices that a helper has at a time
_WORTH_HANDING_OUT = 8  # names
_PATIENCE_SECONDS = 0.2  # from one look at a cancel to the next
_MOST_HELPERS = 3

_START = (
    "import sys; sys.path.append(sys.argv[1]); from stager.slices import helper; helper.main(*map(int, sys.argv[2:]))"
)


def _nothing() -> None:
    """Do nothing."""


Take = Callable[[Slice, list[Any]], None]


@dataclass(slots=True)
class _Job:
    settle: Callable[[], None]
    helper: Helper | None = None

    def is_ready(self) -> bool:
        return self.helper is None or self.helper.has_answered()


class Helper:
    """A helper process, from its owner's side; see `stager.slices.helper`.

    Parameters
    ----------
    source, destination
        Tops of the product and of its copy.
    lock
        What it holds as long as it lives.
    """

    def __init__(self, *, source: Descriptor, destination: Descriptor, lock: Descriptor) -> None:
        self._ours, theirs = socket.socketpair()
        tops = source.fd, destination.fd
        command = [sys.executable, "-I", "-S", "-c", _START, str(Path(__file__).parents[2]), *map(str, tops)]
        with theirs:  # no environment: others may read it, and there are passwords in ours
            end = theirs.fileno()
            self._process = subprocess.Popen(  # noqa: S603 - ourselves
                command, stdin=end, stdout=end, pass_fds=(*tops, lock.fd), env={}, process_group=0
            )
        self._answered = select.poll()
        self._answered.register(self._ours, select.POLLIN)
        self._is_there = False
        self._is_lost = False
        self._pending = 0

    def has_answered(self, seconds: float = 0.0) -> bool:
        """Tell whether a result can be taken, after waiting for it for some seconds."""
        return self._is_lost or bool(self._answered.poll(seconds * 1000))

    def is_free(self) -> bool:
        """Tell whether it can be given another slice."""
        if not self._is_there and not self._is_lost and self.has_answered():
            self._is_there = self._received() == READY
        return self._is_there and not self._is_lost and self._pending < _AHEAD

    def give(self, work: Slice) -> None:
        """Give it a slice."""
        self._pending += 1
        try:
            send(self._ours.fileno(), work.order)
        except OSError:
            self._lose()

    def take(self) -> list[Any] | None:
        """Return the result of its oldest slice; None if it died over that."""
        self._pending -= 1
        results: list[Any] | None = None if self._is_lost else self._received()
        return results

    def _received(self) -> Any:  # noqa: ANN401 - an answer
        try:
            answer = receive(self._ours.fileno())
        except OSError:
            answer = None
        if answer is None:
            self._lose()
        return answer

    def _lose(self) -> None:
        self._is_lost = True
        self.end()

    def end(self) -> None:
        """Kill it, and wait until it has ended."""
        self._process.kill()
        self._process.wait()
        self._ours.close()


@contextmanager
def started_helpers(*, are_wanted: bool, **opened: Descriptor) -> Iterator[list[Helper]]:
    """Start a helper for each further processor, three at most, and always end them.

    A process that became its user starts none: what the user could trace,
    and change as it works, is not to be believed.
    """
    started: list[Helper] = []
    try:
        may_help = are_wanted and not is_kept_from_its_user()
        wanted = min(len(os.sched_getaffinity(0)) - 1, _MOST_HELPERS) if may_help else 0
        with suppress(OSError):  # no process can be had: fewer will do
            while len(started) < wanted:
                started.append(Helper(**opened))
        yield started
    finally:
        for helper in started:
            helper.end()


class Helpers:
    """The helpers of a copy, and this process beside them.

    Parameters
    ----------
    on_each
        Called often, and at least every 0.2 s while something is waited for; may raise.
    helpers
        None at all: each slice is done, and taken, at once.
    """

    def __init__(self, on_each: Callable[[], None] = _nothing, helpers: Iterable[Helper] = ()) -> None:
        self._on_each = on_each
        self._helpers = list(helpers)
        self._queue: deque[_Job] = deque()

    def put(self, work: Slice, take: Take) -> None:
        """Have a slice done, here or by a helper; ``take`` gets the result in its turn."""
        helper = self._free_helper() if len(work.names) >= _WORTH_HANDING_OUT else None
        if helper:
            helper.give(work)
            self._queue.append(_Job(lambda: take(work, self._answer(helper, work)), helper))
        else:
            results = work.done(self._on_each)
            self._queue.append(_Job(lambda: take(work, results)))
        self._settle(_WAITING)

    def then(self, settle: Callable[[], None]) -> None:
        """Call a function once the results of all slices before are taken."""
        self._queue.append(_Job(settle))
        self._settle(_WAITING)

    def finish(self) -> None:
        """Wait until all results are taken."""
        self._settle(0)

    def _settle(self, left: int) -> None:
        while self._queue and (len(self._queue) > left or self._queue[0].is_ready()):
            self._queue.popleft().settle()

    def _free_helper(self) -> Helper | None:
        return next((helper for helper in self._helpers if helper.is_free()), None)

    def _answer(self, helper: Helper, work: Slice) -> list[Any]:
        while not helper.has_answered(_PATIENCE_SECONDS):
            self._on_each()
        results = helper.take()
        if results is None:
            work.undo()
            results = work.done(self._on_each)
        return results
