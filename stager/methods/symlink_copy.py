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
from stager.methods.method import Item, LastCopy, Promise, mounted
from stager.vocabulary import ManifestEntry


class SymlinkCopy(PublishedByRename):
    """The user gets another name of the very same file, which stays unwritable to them.

    Parameters
    ----------
    link
        What gives an open file a name. Where fs.protected_hardlinks is set, nobody
        links what they neither own nor may write (proc_sys_fs(5)): then root does.
    """

    name: ClassVar[str] = "symlink_copy"
    promise: ClassVar[Promise] = Promise(
        publishes_atomically=True,
        read_only_by="mode",
        needs_account=True,
        verified_by="being the very same file",
    )

    def __init__(self, link: engine.Link = engine.link_opened) -> None:
        self._link = link

    def check_source(self, item: Item) -> engine.Survey:
        """Survey the source; a directory is refused, since it cannot have a second name."""
        found = engine.survey(item.source, depth=0 if item.expected.size_bytes is None else None)
        engine.require_size(item.source.display, found, item.expected)
        return found

    def check_duplicate(
        self,
        item: Item,
        survey: engine.Survey,
        *,
        on_file: Callable[[ManifestEntry], None],  # noqa: ARG002 - no two files are compared
        control: engine.Control,
    ) -> bool:
        """Compare the inodes; read the source if the request gives its checksum."""
        engine.verify(item.source, survey=survey, expected=item.expected, control=control)
        if engine.link_target(mounted(item.destination)) is engine.ABSENT:
            return False
        same = engine.is_same_file(item.source, mounted(item.destination))
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
        """Link the source under a temporary name: on its own file system, and never if the user could write to it."""
        return engine.stage_hard_link(item.source, mounted(item.destination), modes=item.modes, link=self._link)

    def remove(
        self,
        item: Item,
        last: LastCopy,
        *,
        known: Iterable[ManifestEntry],  # noqa: ARG002 - it is one file
        confirm: Callable[[], None],
    ) -> bool:
        """Remove a name of the source's very file; by the fingerprint alone where the source is no more."""
        wanted = last.destination_fingerprint
        return engine.remove_delivered(
            mounted(item.destination), fingerprint=wanted, confirm=confirm, source=item.source
        )
