"""Transfers to a server, within what its operator allows of all runs together."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from stager.engine import StopSignal
from stager.errors import Cancelled
from stager.records.events import GOES_ON, Wait, note_waits
from stager.records.shared_limits import give_slot_back, take_slot, use_rate
from stager.runs.destinations import LeaseHolder
from stager.runs.heartbeat import STOP_POLL_SECONDS

# For how long a request that has waited is not said to wait again, in seconds: its items may wait one after the other.
NOTE_AGAIN_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class ServerLimits:
    """What a server's operator allows.

    Attributes
    ----------
    server
        What the server is called, in messages too.
    transfers
        How many there may be at once.
    bytes_per_second
        How fast they may be together; 0 where that does not matter.
    """

    server: str
    transfers: int
    bytes_per_second: int


class LimitedTransfers:
    """The transfers of a batch."""

    def __init__(self, writer: LeaseHolder, limits: ServerLimits) -> None:
        self._writer, self._limits = writer, limits
        self._held: set[str] = set()
        self._waiting: set[str] = set()
        self._silent_until = 0.0

    @contextmanager
    def slot(self, request_id: str, is_left: StopSignal) -> Iterator[None]:
        """Hold one of the server's slots while the body runs.

        A request is said to wait while none of its batch's items has a slot.

        Raises
        ------
        Cancelled
            The item was left before there was one.
        """
        while (key := self._taken(request_id)) is None:
            self._note_wait(request_id)
            time.sleep(STOP_POLL_SECONDS)
            if is_left.is_set():
                raise Cancelled
        self._held.add(key)
        try:
            self._note_end(request_id)
            yield
        finally:
            self._held.discard(key)
            give_slot_back(self._writer.database, key, holder=self._writer.holder)

    def _taken(self, request_id: str) -> str | None:
        limits, writer = self._limits, self._writer
        slots, holder, seconds = limits.transfers, writer.holder, writer.lease
        return take_slot(
            writer.database, limits.server, slots=slots, request_id=request_id, holder=holder, seconds=seconds
        )

    def _note_wait(self, request_id: str) -> None:
        if self._held or request_id in self._waiting or time.monotonic() < self._silent_until:
            return
        self._waiting.add(request_id)
        most = self._limits.transfers
        why = f"{self._limits.server} takes {most} transfers at once, and half of them for one user: one has to end"
        note_waits(self._writer.database, {request_id: Wait("LimitReached", why)}, kind="waiting")

    def _note_end(self, request_id: str) -> None:
        if request_id in self._waiting:
            self._waiting.discard(request_id)
            self._silent_until = time.monotonic() + NOTE_AGAIN_SECONDS
            note_waits(self._writer.database, {request_id: GOES_ON}, kind="waited")

    def pace(self, size_bytes: int, is_left: StopSignal) -> None:
        """Return once so many bytes, which were sent, are within the server's rate, or the item is left."""
        limits = self._limits
        if not limits.bytes_per_second or not size_bytes:
            return
        rate = limits.bytes_per_second
        until = time.monotonic() + use_rate(self._writer.database, limits.server, size_bytes, bytes_per_second=rate)
        while (left := until - time.monotonic()) > 0 and not is_left.is_set():
            time.sleep(min(left, STOP_POLL_SECONDS))
