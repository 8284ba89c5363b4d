"""A batch: items, of one request or several, that go through the steps together.

A step is one task run a batch, never one a file. One item's failure does not
stop the others; a step is tried again, by whoever calls it, only for the items
whose error says that a retry may help.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from types import TracebackType

from pydantic import SecretStr

from stager.errors import Cancelled, LeaseLost, SecretInUse, StagingError
from stager.methods import StagingMethod
from stager.mover.mover import Mover
from stager.paths import Location
from stager.records.events import GOES_ON, Wait, note_waits, wait_for
from stager.records.items import Progress, note_progress, save_files
from stager.runs.become_user import ActingUser
from stager.runs.destinations import LeaseHolder
from stager.runs.entry import Entry
from stager.runs.following import Following
from stager.runs.heartbeat import STOP_POLL_SECONDS
from stager.runs.limited_transfers import LimitedTransfers, ServerLimits
from stager.runs.sender import Sender

# How long a batch waits at most because the other side asks to; meanwhile it holds its leases.
LONGEST_PAUSE_SECONDS = 600.0


class BatchFailed(StagingError):
    """All items of a batch have failed; each keeps its own error."""


class Batch:
    """The items that go through the four steps together.

    While it is entered, the run is the one writer of the destinations. When it
    is left, whatever the reason, nothing unpublished stays on the storage and
    each item that ended is on record.

    It is no dataclass: Prefect walks those, lists, maps and models to their
    last leaf in each task that is given one, twice (``visit_collection``).
    """

    def __init__(
        self,
        *,
        method: StagingMethod,
        entries: list[Entry],
        writer: LeaseHolder,
        acting: ActingUser,
        connection: object = None,
        limits: ServerLimits | None = None,
        secret: Callable[[], SecretStr | None] = lambda: None,
    ) -> None:
        self.method, self.entries, self.writer, self.acting = method, entries, writer, acting
        self._connection, self._secret = connection, secret
        self.limited = LimitedTransfers(writer, limits) if limits else None
        self._worker: Mover | Sender | None = None
        self._held = ExitStack()
        # The progress that was recorded last, by the items' ids.
        self._noted: dict[int, Progress] = {}

    def __enter__(self) -> None:
        with ExitStack() as stack:
            self.entries = stack.enter_context(self.writer.of(self.entries))
            try:
                if self.pending():  # else a twin of this run has ended them
                    self._begin(stack)
            except StagingError as error:  # without a mover, or a way to the place, these items end
                self._fail(error)
            self._held = stack.pop_all()

    def _begin(self, stack: ExitStack) -> None:
        """Get who works on the items and tell them; have mounted folders swept, others are when they are reached."""
        method = stack.enter_context(self.method.connected(self._connection, self._own_secret()))
        living = self.writer.written_by_others
        self._worker = worker = self.acting.worker(method, living=living, on_wait=self._note_wait)
        stack.callback(self._end)
        if method.place is Location:
            # A folder that cannot be swept fails nothing here: the transfer of its item will say what is wrong.
            worker.sweep(method.name, list({entry.item.destination.parent for entry in self.entries}))
        worker.begin(method.name, {entry.file.id: entry.item for entry in self.entries})

    def _own_secret(self) -> SecretStr | None:
        """Return the user's own secret, if they gave one; while a twin of this run has it, wait for that."""
        while True:
            try:
                return self._secret()
            except SecretInUse as error:
                if not error.is_passing or all(entry.stopped.is_set() for entry in self.pending()):
                    raise
            time.sleep(STOP_POLL_SECONDS)

    def _note_wait(self, wait: Wait | None) -> None:
        """Record what the items wait for, or that they go on."""
        waits = {entry.file.request_id: wait or GOES_ON for entry in self.pending()}
        note_waits(self.writer.database, waits, kind="starting" if wait else "waited")

    def _end(self) -> None:
        """Have discarded what was not published."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.end()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        with self._held:
            if isinstance(error, StagingError):
                self._fail(error)
            self._end()
            self.save()
        return isinstance(error, StagingError)

    def _fail(self, error: StagingError) -> None:
        """Fail all pending items with an error."""
        for entry in self.pending():
            entry.error = entry.stopped.error if entry.stopped.is_set() else error

    def pending(self) -> list[Entry]:
        """Return the items that are neither done nor failed."""
        return [entry for entry in self.entries if entry.is_pending]

    def each(self, step: str, follow: Callable[[Entry], Following], *, retry_in: float | None) -> None:
        """Do one step for every pending item that has not done it.

        Parameters
        ----------
        follow
            Gives what is done beside the step of an item.
        retry_in
            After how many seconds the step is tried again, should an item need it; None on the last try.

        Raises
        ------
        StagingError
            The first error that a retry may mend, unless this is the last try.
        BatchFailed
            Nothing is left to go on with.
        """
        again: dict[str, StagingError] = {}
        for entry, error in self._done(step, follow):
            if error is None:
                entry.steps_done.add(step)
            elif error.retryable and retry_in is not None:
                again[entry.file.request_id] = error
                pause = min(error.retry_after or 0, LONGEST_PAUSE_SECONDS)
                entry.not_before, retry_in = time.monotonic() + pause, max(retry_in, pause)
            else:
                entry.error = error
        if again:
            waits = {request_id: wait_for(error) for request_id, error in again.items()}
            note_waits(self.writer.database, waits, kind="retrying", seconds=retry_in)
            raise next(iter(again.values()))
        failed = [entry.error for entry in self.entries if entry.error]
        if failed and len(failed) == len(self.entries):
            raise BatchFailed(failed[0].message if len(failed) == 1 else f"all {len(failed)} items failed: {failed[0]}")

    def _done(self, step: str, follow: Callable[[Entry], Following]) -> Iterator[tuple[Entry, StagingError | None]]:
        """Have a step done, once that is wanted again, and yield each item with its error, or None."""
        while any(entry.not_before > time.monotonic() and not entry.stopped.is_set() for entry in self.pending()):
            time.sleep(STOP_POLL_SECONDS)
        todo: dict[int, tuple[Entry, Following]] = {}
        for entry in self.pending():
            if entry.stopped.is_set():
                entry.error = entry.stopped.error
            elif step not in entry.steps_done:
                todo[entry.file.id] = entry, follow(entry)
        if not todo or self._worker is None:
            return
        watches = {one: follows.watch for one, (_, follows) in todo.items()}
        for item_id, outcome in self._worker.do(step, watches, refuse=self._refuse):
            entry, follows = todo[item_id]
            error = follows.settled(outcome)
            yield entry, entry.stopped.error if isinstance(error, Cancelled) else error

    def _refuse(self, item_ids: Collection[int]) -> dict[int, StagingError]:
        """Return why some items must not be published: they are to be left, or another has taken their places over."""
        asked = [entry for entry in self.entries if entry.file.id in item_ids]
        left = {entry.file.id: entry.stopped.error for entry in asked if entry.stopped.is_set()}
        return {**self.writer.lost(asked), **left}

    def flush(self) -> None:
        """Make everything that was transferred durable, before any of it is published.

        A flush that failed is not tried again: the kernel may have dropped the
        pages and would then report success (fsync(2), NOTES).
        """
        for entry, error in self._done("flush", Following):
            entry.error = error

    def save(self) -> None:
        """Record the state of the items; those whose destination was taken over are another's to end."""
        ended = [entry for entry in self.entries if not (entry.is_pending or isinstance(entry.error, LeaseLost))]
        changes = [entry.change(self.method.name) for entry in ended]
        if changes:
            save_files(self.writer.database, changes, holder=self.writer.holder)

    def note_progress(self) -> None:
        """Record the progress of the items, where there is any since the last time."""
        moving = [entry.progress() for entry in self.pending() if entry.survey]
        news = [progress for progress in moving if self._noted.get(progress.file_id) != progress]
        note_progress(self.writer.database, news)
        self._noted |= {progress.file_id: progress for progress in news}

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
