"""The one living writer of a place, and of what is inside or around it: leases taken, kept, confirmed, given back."""

from __future__ import annotations

import posixpath
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from stager.errors import DestinationBusy, LeaseLost, StagingError, readable
from stager.records.database import Database
from stager.records.events import GOES_ON, note_waits, wait_for
from stager.records.items import ended_among
from stager.records.leases import BusyDestination, acquire_leases, confirm_leases, leased_among, release_leases
from stager.records.tables import StagedFile
from stager.runs.entry import Entry
from stager.runs.stop import Stop

# How long a run waits for a destination that another request writes, and how
# often it tries again, in seconds. For a second process of its own run it waits as
# long as that lives.
BUSY_DESTINATION_SECONDS = 60.0
BUSY_POLL_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class LeaseHolder:
    """A process that stages, with a name of its own as the holder of leases.

    Two workers may be given the same flow run: its id is no such name. What
    it holds is renewed by ``alive`` in stager/runs/heartbeat.py.
    """

    database: Database
    holder: str
    lease: float

    @contextmanager
    def of(self, entries: Sequence[Entry]) -> Iterator[list[Entry]]:
        """Hold the leases of the items' destinations while the body runs.

        Yields
        ------
        list of Entry
            The items that are ours to do: not those that a twin of this run
            has ended meanwhile. One whose destination another request goes on
            writing, or something inside it or around it, has failed with
            `DestinationBusy`.
        """
        try:
            yield self._still_open(self._acquired(entries))
        finally:
            release_leases(self.database, holder=self.holder)

    @contextmanager
    def alone(self, file: StagedFile, stopped: Stop) -> Iterator[None]:
        """Be the one process that expands an item while the body runs; wait for a twin of this run that does.

        Raises
        ------
        Cancelled
            It is to be left.
        """
        places = {file.destination_key: f"what item {file.position} of {file.request_id} stands for"}
        while acquire_leases(self.database, [file], holder=self.holder, seconds=self.lease, places=places):
            if stopped.is_set():
                raise stopped.error
            time.sleep(BUSY_POLL_SECONDS)
        try:
            yield
        finally:
            release_leases(self.database, holder=self.holder)

    def lost(self, entries: Sequence[Entry]) -> dict[int, StagingError]:
        """Return, by the items' ids, a `LeaseLost` for each destination that is not ours to publish any more."""
        files = [entry.file for entry in entries]
        lost = confirm_leases(self.database, files, holder=self.holder, seconds=self.lease)
        return {file.id: LeaseLost(file.relative_path) for file in lost}

    def written_by_others(self, beginnings: Collection[str]) -> set[str]:
        """Return those beginnings of destinations' keys that another living writer has."""
        return leased_among(self.database, beginnings, but_by=self.holder)

    def _acquired(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Acquire the leases, and wait for destinations that somebody else writes."""
        told: set[str] = set()
        places = {entry.file.destination_key: entry.place for entry in entries}
        waiting, deadline = {entry.file.id: entry for entry in entries}, time.monotonic() + BUSY_DESTINATION_SECONDS
        while waiting:
            files = [entry.file for entry in waiting.values()]
            busy = acquire_leases(self.database, files, holder=self.holder, seconds=self.lease, places=places)
            if busy and not told:
                told = self._tell([(waiting[one.file.id], one) for one in busy])
            for one in busy:
                entry = waiting[one.file.id]
                if entry.stopped.is_set():
                    entry.error = entry.stopped.error
                elif one.request_id != one.file.request_id and time.monotonic() > deadline:
                    entry.error = _busy(entry, one)
            waiting = {one.file.id: waiting[one.file.id] for one in busy if not waiting[one.file.id].error}
            if waiting:
                time.sleep(BUSY_POLL_SECONDS)
        if told:
            note_waits(self.database, dict.fromkeys(told, GOES_ON), kind="waited")
        return entries

    def _tell(self, busy: Sequence[tuple[Entry, BusyDestination]]) -> set[str]:
        """Record for whom the requests wait, and return those that wait."""
        waits = {entry.file.request_id: wait_for(_busy(entry, one)) for entry, one in busy}
        note_waits(self.database, waits, kind="waiting", seconds=BUSY_DESTINATION_SECONDS)
        return set(waits)

    def _still_open(self, entries: Sequence[Entry]) -> list[Entry]:
        """Drop the items that a second process of this run has ended meanwhile."""
        ended = ended_among(self.database, [entry.file.id for entry in entries])
        return [entry for entry in entries if entry.file.id not in ended]


def _busy(entry: Entry, busy: BusyDestination) -> StagingError:
    by, until = f"request {busy.request_id}", f"until {busy.expires_at:%H:%M:%S}"
    if busy.place is None:
        said = f"{by} {until}"
    elif entry.place.startswith(f"{busy.place}/"):
        said = f"{by} writes {readable(posixpath.basename(busy.place))}, which it lies in, {until}"
    else:
        said = f"{by} writes {readable(posixpath.relpath(busy.place, entry.place))} in it, {until}"
    return DestinationBusy(entry.item.destination.display, said)
