"""The choice of requests that share a batch: those that take so little time that none waits for the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from stager.mover.answers import Watch
from stager.mover.mover import Mover
from stager.mover.replies import StepDone
from stager.records.nesting import are_nested
from stager.runs.batch_size import BATCH_SIZE
from stager.runs.entry import Entry
from stager.runs.sender import Sender

# A request of more items gets batches of its own.
MAX_SHARED_ITEMS = 16


@dataclass
class SharedBatch:
    """Requests that share a batch, and their items."""

    request_ids: list[str] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)

    def add(self, request_id: str, entries: list[Entry]) -> None:
        """Add a request."""
        self.request_ids.append(request_id)
        self.entries += entries

    def has_room_for(self, entries: list[Entry]) -> bool:
        """Return whether these can come along: not too many, and none to a place of another, inside it or around it."""
        return len(self.entries) + len(entries) <= BATCH_SIZE and not any(
            are_nested(one.place, other.place) for one in entries for other in self.entries
        )


def grouped(entries_of: Mapping[str, list[Entry]]) -> Iterator[SharedBatch]:
    """Yield the requests in their order, as many together as fit."""
    together = SharedBatch()
    for request_id, entries in entries_of.items():
        if not together.has_room_for(entries):
            yield together
            together = SharedBatch()
        together.add(request_id, entries)
    yield together


def small_among(entries: Sequence[Entry], worker: Mover | Sender, method: str) -> set[int]:
    """Return the ids of the items whose sources are small files, or fail at once."""
    small: set[int] = set()
    for start in range(0, len(entries), BATCH_SIZE):  # each may have a descriptor of ours, and a message is not endless
        some = {entry.file.id: entry for entry in entries[start : start + BATCH_SIZE]}
        worker.begin(method, {item_id: entry.item for item_id, entry in some.items()})
        looks = worker.do("look", {item_id: Watch(stopped=entry.stopped) for item_id, entry in some.items()})
        small |= {item_id for item_id, found in looks if isinstance(found, StepDone) and found.is_small}
    return small
