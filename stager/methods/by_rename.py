"""The last steps of every method whose destination is a mounted storage."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from stager import engine
from stager.methods.method import Item
from stager.paths import Location
from stager.vocabulary import OnConflict


class PublishedByRename:
    """The last steps by descriptors: modes, one flush, one rename for each item."""

    def sweep(self, parent: Location) -> int:
        """Remove temporary names whose lock nobody holds."""
        return engine.sweep(parent)

    def set_read_only(self, item: Item, staged: engine.Staged) -> None:  # noqa: ARG002 - it knows its modes
        """Set read-only modes on descriptors; what is only linked stays as it is."""
        engine.seal(staged)

    def flush(self, staged: Iterable[engine.Staged]) -> None:
        """Flush a file by fsync(2), many by one syncfs(2) for each file system."""
        engine.flush(staged)

    def publish(self, item: Item, staged: engine.Staged, *, confirm: Callable[[], None]) -> engine.Published:
        """Rename to the final name by renameat2(2), never over something that the request does not replace."""
        return engine.publish(staged, replace=item.on_conflict is OnConflict.REPLACE, confirm=confirm)

    def discard(self, staged: engine.Staged) -> None:
        """Remove the temporary name and what is under it."""
        engine.discard(staged)
