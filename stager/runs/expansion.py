"""The expansion of an item that stands for many: its user's mover lists them, and they are added to the request."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

from stager.engine import Found
from stager.errors import (
    Cancelled,
    InvalidPath,
    LeaseLost,
    NotExpandable,
    SourceError,
    StagingError,
    StorageFault,
)
from stager.models import MAX_PATH_BYTES, StagingItem, Status
from stager.mover.answers import Watch
from stager.records.cutting import limits_of, warm_limits_of
from stager.records.events import note_waits, wait_for
from stager.records.items import FileChange, save_files
from stager.records.requests import AddedItem, add_expanded, end_expansion, expansion_of
from stager.records.tables import StagedFile
from stager.runs.become_user import ActingUser
from stager.runs.destinations import LeaseHolder
from stager.runs.resolve import Resolver
from stager.runs.stop import Stop
from stager.settings import get_settings
from stager.vocabulary import EVERYTHING

logger = logging.getLogger(__name__)
# Items that are added in one transaction.
ITEMS_AT_ONCE = 1000


class Expansion:
    """An item that stands for many, while these are added to its request.

    It is no dataclass, as `Batch` says.
    """

    def __init__(
        self, file: StagedFile, resolver: Resolver, *, writer: LeaseHolder, acting: ActingUser, stopped: Stop
    ) -> None:
        self._file, self._resolver, self._writer, self._acting = file, resolver, writer, acting
        self._stopped = stopped
        self._limits, self._most_items = limits_of(get_settings()), get_settings().max_items
        self._folder = ""
        self._found: list[Found] = []

    def go_on(self, *, retry_in: float | None) -> None:
        """Add what was not added yet, and end the item.

        Parameters
        ----------
        retry_in
            As in `Batch.each`.

        Raises
        ------
        StagingError
            One that a retry may mend, unless this is the last try.
        """
        try:
            with self._writer.alone(self._file, self._stopped):
                self._end(self._error(retry_in))
        except (Cancelled, LeaseLost) as left:  # who has it, or the request's ending, ends it
            logger.warning("Item %d was left: %s", self._file.position, left.message)

    def _error(self, retry_in: float | None) -> StagingError | None:
        """Add all, and return why that was impossible; None if it was not."""
        try:
            self._add_all()
        except LeaseLost:
            raise
        except StagingError as error:
            if not error.retryable or retry_in is None or self._stopped.is_set():
                return self._stopped.error if self._stopped.is_set() else error
            note_waits(
                self._writer.database, {self._file.request_id: wait_for(error)}, kind="retrying", seconds=retry_in
            )
            raise
        return None

    def _add_all(self) -> None:
        database = self._writer.database
        self._found.clear()
        self._file, last = expansion_of(database, self._file.id)
        if self._file.status.is_final:  # a twin of this run has ended it
            return
        save_files(database, [FileChange(id=self._file.id, status=Status.STARTED)])
        of = self._resolver.expandable(self._file)
        self._folder = os.fsdecode(b"/".join(of.folder.parts))
        after = "" if last is None else last.removeprefix(self._destination(""))
        watch = Watch(stopped=self._stopped, on_found=self._take)
        mover = self._acting.mover()
        try:
            mover.expand(self._file.id, of.folder, of.pattern, after=after, read_as=of.read_as, watch=watch)
        except (SourceError, StorageFault, InvalidPath):
            self._add_rest()  # what was found before that
            raise
        self._add_rest()
        if not self._file.expanded_count and self._file.error_type is None:
            fits = "/".join(of.pattern)
            raise NotExpandable(of.folder.display, "no file is in it" if fits == EVERYTHING else f"nothing fits {fits}")

    def _take(self, found: Sequence[Found]) -> None:
        self._found += found
        while len(self._found) >= ITEMS_AT_ONCE:
            self._add()

    def _add_rest(self) -> None:
        while self._found:
            self._add()

    def _add(self) -> None:
        """Add what was found, so many items at most: the rest comes with what is found next."""
        now, self._found = self._found[:ITEMS_AT_ONCE], self._found[ITEMS_AT_ONCE:]
        added = [self._added(found) for found in now]
        self._file = add_expanded(
            self._writer.database,
            self._file,
            [one for one in added if isinstance(one, AddedItem)],
            left_out=next((one for one in added if isinstance(one, InvalidPath)), None),
            holder=self._writer.holder,
            limits=self._limits,
            most_items=self._most_items,
        )

    def _added(self, found: Found) -> AddedItem | InvalidPath:
        """Return what is to be added; or, where no record has room for its paths, why not."""
        source = f"{self._folder}/{found.path}" if self._folder else found.path
        destination = self._destination(found.path)
        for path in (source, destination):
            if len(path.encode("utf-8", "surrogatepass")) > MAX_PATH_BYTES:
                return InvalidPath(path, f"it has more than {MAX_PATH_BYTES} bytes")
        return AddedItem(StagingItem(source=source, destination=destination), found.size_bytes)

    def _destination(self, path: str) -> str:
        return f"{self._file.relative_path.rstrip('/')}/{path}"

    def _end(self, error: StagingError | None) -> None:
        database, writer = self._writer.database, self._writer
        limits, warm = self._limits, warm_limits_of(get_settings())
        end_expansion(database, self._file, error, holder=writer.holder, limits=limits, warm_limits=warm)
