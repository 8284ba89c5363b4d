"""How calls to an object store are tried again: by this alone, boto's own tries being off."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from stager.errors import (
    CorruptedInTransfer,
    DestinationBusy,
    PeerBusy,
    PeerFault,
    PeerNotReachable,
    PeerStalled,
    StagingError,
)
from stager.peers.connections import check_on
from stager.peers.s3.turns import Turns

T = TypeVar("T")
# How long to wait before each try after the first, in seconds, on average; and at most where the store says how long.
DELAYS_SECONDS = (0.2, 1.0, 3.0, 8.0, 20.0)
# The same for the end of an upload in parts: stores that put parts together twice at once have lost them (ceph#55042).
COMPLETION_DELAYS_SECONDS = (1.0, 5.0, 15.0, 30.0)
LONGEST_DELAY_SECONDS = 60.0
PASSES = (PeerBusy, PeerFault, PeerNotReachable, PeerStalled, DestinationBusy, CorruptedInTransfer)
# How often it is checked, while nothing is asked, whether to go on.
_POLL_SECONDS = 0.2


class Pace:
    """When a store may be asked again: where it tells one thread that it has too much to do, all of them wait.

    Then only half as many calls as before go at a time, and by and by more again.

    Attributes
    ----------
    delays_seconds, completion_delays_seconds
        How long to wait before each try after the first, on average: of any call, and of an upload's last one.
    turns
        How many calls go at a time.
    """

    def __init__(self) -> None:
        self.delays_seconds: Sequence[float] = DELAYS_SECONDS
        self.completion_delays_seconds: Sequence[float] = COMPLETION_DELAYS_SECONDS
        self.turns = Turns(check_on)
        self._lock = threading.Lock()
        self._quiet_until = 0.0

    def slow_down(self, seconds: float) -> None:
        """Have nothing asked for some time, and then less at a time; who says so meanwhile says the same again."""
        with self._lock:
            moment = time.monotonic()
            if moment >= self._quiet_until:
                self.turns.halve()
            self._quiet_until = max(self._quiet_until, moment + seconds)

    def wait(self) -> None:
        """Wait until it may be asked; what checks on this thread's waiting may end that."""
        while (left := self._quiet_until - time.monotonic()) > 0:
            wait(min(left, _POLL_SECONDS))
        check_on()

    def repeated(self, call: Callable[[], T]) -> T:
        """Return what a call gives, which is done again some times where that may help.

        Raises
        ------
        StagingError
            What no other try mends, or the error of the last.
        """
        for delay in self.delays_seconds:
            try:
                return self._in_turn(call)
            except PASSES as error:
                self.pause(error, delay)
        return self._in_turn(call)

    def _in_turn(self, call: Callable[[], T]) -> T:
        with self.turns.turn():
            self.wait()
            found = call()
        self.turns.add()
        return found

    def pause(self, error: StagingError, delay: float) -> None:
        """Wait after an error, and have all others wait too where the store has too much to do."""
        seconds = min(error.retry_after or delay * random.uniform(0.5, 1.5), LONGEST_DELAY_SECONDS)  # noqa: S311
        if isinstance(error, PeerBusy):
            self.slow_down(seconds)
        else:
            wait(seconds)


def wait(seconds: float) -> None:
    """Wait, unless what checks on this thread's waiting ends that."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        check_on()
        time.sleep(min(left, _POLL_SECONDS))
