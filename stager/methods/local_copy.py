"""Copy a file or a directory between two mounted storages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

from stager import engine
from stager.methods.by_rename import PublishedByRename
from stager.methods.conflict import last_fingerprint, settle
from stager.methods.method import Item, Promise, mounted
from stager.vocabulary import ManifestEntry


class LocalCopy(PublishedByRename):
    """The user gets a copy of their own."""

    name: ClassVar[str] = "local_copy"
    promise: ClassVar[Promise] = Promise(
        publishes_atomically=True,
        read_only_by="mode",
        needs_account=True,
        verified_by="the Adler-32 of what was read, taken while the bytes pass, and sizes",
    )

    def check_source(self, item: Item) -> engine.Survey:
        """Survey the source by a walk: its kind, its size, and that it can be staged."""
        found = engine.survey(item.source)
        engine.require_size(item.source.display, found, item.expected)
        return found

    def check_duplicate(
        self,
        item: Item,
        survey: engine.Survey,
        *,
        on_file: Callable[[ManifestEntry], None],
        control: engine.Control,
    ) -> bool:
        """Compare by our own record and the fingerprints, or else byte for byte."""
        found = engine.fingerprint(mounted(item.destination))
        if found is None:
            return False
        if found == last_fingerprint(item, survey):
            return settle(item, difference=None)
        difference = engine.compare(
            item.source,
            mounted(item.destination),
            survey=survey,
            checksum=item.expected.checksum,
            on_file=on_file,
            control=control,
        )
        if difference is engine.ABSENT or not settle(item, difference=difference):
            return False
        # A run may have been killed between the rename and its last step.
        engine.repair(mounted(item.destination), item.modes)
        return True

    def transfer(
        self,
        item: Item,
        survey: engine.Survey,
        *,
        known: Iterable[ManifestEntry] | None,
        on_file: Callable[[ManifestEntry], None],
        control: engine.Control,
    ) -> engine.Staged:
        """Copy beside the destination, with the checksum taken while the bytes pass."""
        return engine.transfer(
            item.source,
            mounted(item.destination),
            survey=survey,
            modes=item.modes,
            expected=item.expected,
            known=known,
            on_file=on_file,
            control=control,
        )
