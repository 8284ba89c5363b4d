"""Some items, of one request or several, that go through the steps together.

A step is one task run a batch, never one a file. One item's failure does not
stop the others; a step is tried again, by Prefect, only for the items whose
error says that a retry may help.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType

from stager.engine import Control
from stager.errors import Cancelled, DestinationNotWritable, StagingError, UnforeseenError
from stager.methods import StagingMethod
from stager.models import ManifestEntry
from stager.records import manifest_of, manifest_writer, note_progress, note_waits, save_files, wait_for
from tasks.entry import Entry
from tasks.step import retry_delay
from tasks.writer import Writer

logger = logging.getLogger(__name__)


class BatchFailed(StagingError):
    """No item of a batch is left to go on with; each has its own ending."""


@dataclass(kw_only=True, eq=False)
class Batch:
    """The items of one round through the four steps.

    While it is entered, the run is the one writer of the destinations. When it
    is left, whatever the reason, nothing unpublished stays on the storage and
    each item that ended is on record.
    """

    method: StagingMethod
    entries: list[Entry]
    writer: Writer
    _held: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> None:
        with ExitStack() as stack:
            self.entries = stack.enter_context(self.writer.of(self.entries))
            for parent, uids in {(entry.item.destination.parent, entry.item.ownership.uids) for entry in self.entries}:
                with suppress(DestinationNotWritable):  # the transfer says so, of its item alone
                    self.method.sweep(parent, uids=uids)
            self._held = stack.pop_all()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        with self._held:
            for entry in reversed(self.entries):  # folders made for several items go with the last
                if entry.staged is not None and entry.published is None:
                    self.method.discard(entry.staged)
            is_ours = isinstance(error, StagingError)
            for entry in self.pending() if is_ours else ():
                entry.error = error  # type: ignore[assignment] # is_ours says that it is a StagingError
            self.save()
        return is_ours

    def pending(self) -> list[Entry]:
        """Return the items that are neither done nor failed."""
        return [entry for entry in self.entries if entry.is_pending]

    def each(self, name: str, step: Callable[[Entry], None], *, is_last_try: bool) -> None:
        """Do one step for every pending item that has not done it.

        Raises
        ------
        StagingError
            The first error that a retry may mend, unless this is the last try.
        BatchFailed
            Nothing is left to go on with.
        """
        todo = [entry for entry in self.pending() if name not in entry.steps_done]
        errors = [self._attempt(name, step, entry, is_last_try=is_last_try) for entry in todo]
        again = {e.file.request_id: error for e, error in zip(todo, errors, strict=True) if error is not None}
        if again:
            waits = {request_id: wait_for(error) for request_id, error in again.items()}
            note_waits(self.writer.database, waits, kind="retrying", seconds=retry_delay())
            raise next(iter(again.values()))
        failed = [entry.error for entry in self.entries if entry.error]
        if failed and len(failed) == len(self.entries):
            raise BatchFailed(failed[0].message if len(failed) == 1 else f"all {len(failed)} items failed: {failed[0]}")

    def _attempt(
        self, name: str, step: Callable[[Entry], None], entry: Entry, *, is_last_try: bool
    ) -> StagingError | None:
        """Do a step for one item; return an error that is worth another try, keep one that is not."""
        if entry.stopped.is_set():
            entry.error = entry.stopped.error
            return None
        try:
            step(entry)
        except Cancelled:
            error: StagingError = entry.stopped.error
        except StagingError as raised:
            error = raised
        except Exception as raised:  # whatever it is, it is this item's alone
            logger.exception("Unforeseen error at %s", entry.item.source.display)
            error = UnforeseenError(raised)
        else:
            entry.steps_done.add(name)
            return None
        if error.retryable and not is_last_try:
            return error
        entry.error = error
        return None

    def flush(self) -> None:
        """Make everything that was transferred durable, before any of it is published.

        A flush that failed is not tried again: the kernel may have dropped the
        pages and would then report success (fsync(2), NOTES).
        """
        pending = self.pending()
        try:
            self.method.flush(entry.transferred for entry in pending)
        except StagingError as error:
            for entry in pending:
                entry.error = error

    def control(self, entry: Entry) -> Control:
        """Return what takes an item's progress and says when to stop."""

        def note(bytes_done: int, files_done: int) -> None:
            entry.bytes_done, entry.files_done = bytes_done, files_done

        return Control(note, entry.stopped)

    def attention(self, entry: Entry) -> Control:
        """Return what only says when to stop."""
        return Control(lambda _bytes, _files: None, entry.stopped)

    @contextmanager
    def manifest(self, entry: Entry) -> Iterator[Callable[[ManifestEntry], None]]:
        """Give what writes down each file of a directory, or keeps a file's checksum."""
        if entry.surveyed.kind != "directory":
            yield entry.note
            return
        with manifest_writer(self.writer.database, entry.file, holder=self.writer.holder) as writer:
            yield writer

    def known_checksums(self, entry: Entry) -> Iterable[ManifestEntry] | None:
        """Return the checksums of the very same source that its last delivery here has on record."""
        last = entry.last_of_same_source
        if last is None:
            return None
        if entry.surveyed.kind == "directory":
            return manifest_of(self.writer.database, last.file_id)
        if last.checksum is None:
            return None
        path = entry.file.local_path_on_storage
        return [ManifestEntry(path=path, size_bytes=entry.surveyed.size_bytes, checksum=last.checksum)]

    def save(self) -> None:
        """Write down what became of the items."""
        method = self.method.name
        changes = [entry.change(method) for entry in self.entries if not entry.is_pending]
        if changes:
            save_files(self.writer.database, changes, holder=self.writer.holder)

    def note_progress(self) -> None:
        """Write down how far the items are."""
        moving = [entry for entry in self.pending() if entry.survey]
        note_progress(self.writer.database, [entry.progress() for entry in moving])

    @property
    def bytes_done(self) -> int:
        """Bytes transferred so far."""
        return sum(entry.bytes_done for entry in self.entries)

    @property
    def files_done(self) -> int:
        """Files transferred so far."""
        return sum(entry.files_done for entry in self.entries)

    @property
    def size_bytes(self) -> int:
        """Bytes to transfer in all."""
        return sum(entry.survey.size_bytes for entry in self._to_transfer() if entry.survey)

    @property
    def file_count(self) -> int:
        """Files to transfer in all."""
        return sum(entry.survey.file_count for entry in self._to_transfer() if entry.survey)

    def _to_transfer(self) -> list[Entry]:
        return [entry for entry in self.entries if not entry.is_duplicate]
