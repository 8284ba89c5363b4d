"""The last steps of every method whose destination is a mounted storage."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, ClassVar, Self

from stager import engine
from stager.methods.method import Item, LastCopy, LivingAmong, OnWait, mounted
from stager.paths import Location, Place
from stager.vocabulary import ManifestEntry, OnConflict

if TYPE_CHECKING:
    from pydantic import SecretStr


class PublishedByRename:
    """The last steps by descriptors: modes, one flush, one rename for each item."""

    place: ClassVar[type[Place]] = Location

    def connected(self, connection: None, secret: SecretStr | None) -> AbstractContextManager[Self]:  # noqa: ARG002 - a mount needs none
        """Give the method as it is."""
        return nullcontext(self)

    def reach(self, places: Iterable[Place], *, on_wait: OnWait, check: Callable[[], None]) -> None:
        """Do nothing: they are mounted."""

    def sweep(self, parent: Place, *, living: LivingAmong) -> int:  # noqa: ARG002 - locks tell
        """Remove temporary names whose lock nobody holds."""
        return engine.sweep(mounted(parent))

    def set_read_only(self, item: Item, staged: engine.Staged) -> None:  # noqa: ARG002 - it knows its modes
        """Set read-only modes on descriptors; what is only linked stays as it is."""
        engine.seal(staged)

    def flush(self, staged: Iterable[engine.Staged]) -> None:
        """Flush a file by fsync(2), many by one syncfs(2) for each file system."""
        engine.flush(staged)

    def publish(self, item: Item, staged: engine.Staged, *, confirm: Callable[[], None]) -> engine.Published:
        """Rename to the final name by renameat2(2), never over something that the request does not replace."""
        return engine.publish(staged, replace=item.on_conflict is OnConflict.REPLACE, confirm=confirm)

    def remove(
        self,
        item: Item,
        last: LastCopy,
        *,
        known: Iterable[ManifestEntry],  # noqa: ARG002 - a walk tells
        confirm: Callable[[], None],
    ) -> bool:
        """Remove by a rename, and then by descriptors, what has the fingerprint of our record."""
        return engine.remove_delivered(
            mounted(item.destination), fingerprint=last.destination_fingerprint, confirm=confirm
        )

    def discard(self, staged: engine.Staged) -> None:
        """Remove the temporary name and what is under it."""
        engine.discard(staged)
