"""Put a symbolic link to the source into the user's area."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import ClassVar

from stager import engine
from stager.methods.by_rename import PublishedByRename
from stager.methods.conflict import settle
from stager.methods.method import Item, Promise, mounted
from stager.vocabulary import ManifestEntry


class LocalSymlink(PublishedByRename):
    """The user sees the source itself, at the path where users have it mounted."""

    name: ClassVar[str] = "local_symlink"
    promise: ClassVar[Promise] = Promise(
        publishes_atomically=True,
        read_only_by="nothing",
        needs_account=True,
        verified_by="the text of the link",
    )

    def check_source(self, item: Item) -> engine.Survey:
        """Survey the source; a directory is walked only if the request gives its size."""
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
        """Compare the link's text; read the source if the request gives its checksum."""
        engine.verify(item.source, survey=survey, expected=item.expected, control=control)
        found = engine.link_target(mounted(item.destination))
        if found is engine.ABSENT:
            return False
        wanted = self._target(item)
        return settle(item, difference=None if found == wanted else f"not a link to {os.fsdecode(wanted)}")

    def transfer(
        self,
        item: Item,
        survey: engine.Survey,  # noqa: ARG002 - nothing is copied
        *,
        known: Iterable[ManifestEntry] | None,  # noqa: ARG002 - nothing is read
        on_file: Callable[[ManifestEntry], None],  # noqa: ARG002 - likewise
        control: engine.Control,  # noqa: ARG002 - nothing takes time
    ) -> engine.Staged:
        """Make the link under a temporary name."""
        return engine.stage_symlink(self._target(item), mounted(item.destination), modes=item.modes)

    @staticmethod
    def _target(item: Item) -> bytes:
        return b"/".join((os.fsencode(item.source_seen_at), *item.source.parts))
