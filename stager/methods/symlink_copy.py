"""Put a hard link to the source into the user's area.

The demo's name for it says "symlink", its documentation a hard link; a hard
link it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

from stager import engine
from stager.methods.by_rename import PublishedByRename
from stager.methods.conflict import settle
from stager.methods.method import Item
from stager.models import ManifestEntry


class SymlinkCopy(PublishedByRename):
    """The user gets another name of the very same file, which stays unwritable to them."""

    name: ClassVar[str] = "symlink_copy"

    def check_source(self, item: Item) -> engine.Survey:
        """Look at the source; a directory cannot have a second name."""
        return engine.survey(item.source, depth=0)

    def check_duplicate(
        self,
        item: Item,
        survey: engine.Survey,  # noqa: ARG002 - one inode is one content
        *,
        control: engine.Control,  # noqa: ARG002 - nothing takes time
    ) -> bool:
        """Compare the inodes."""
        if engine.link_target(item.destination) is engine.ABSENT:
            return False
        same = engine.is_same_file(item.source, item.destination)
        return settle(item, difference=None if same else "not a hard link to the source")

    def transfer(
        self,
        item: Item,
        survey: engine.Survey,  # noqa: ARG002 - nothing is copied
        *,
        known: Iterable[ManifestEntry] | None,  # noqa: ARG002 - nothing is read
        on_file: Callable[[ManifestEntry], None],  # noqa: ARG002 - likewise
        control: engine.Control,  # noqa: ARG002 - nothing takes time
    ) -> engine.Staged:
        """Link under a temporary name: same file system only, and never where the user could write."""
        who = item.identity
        return engine.stage_hard_link(
            item.source, item.destination, uid=who.uid, gids=who.groups, ownership=item.ownership
        )
