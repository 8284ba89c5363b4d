"""The frame of every flow: requests are opened before the steps and closed after them, however it ends."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from prefect.client.schemas.objects import State
from prefect.exceptions import TerminationSignal
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.states import Cancelled as CancelledState
from prefect.states import Completed, Failed

from blocks.staging_form import StagingForm
from stager.errors import Cancelled, InvalidMethod, StagingError, UnforeseenError
from stager.methods import StagingMethod
from stager.models import Status
from stager.records import (
    Database,
    StagedFile,
    StagingRequestRow,
    close_request,
    create_request,
    fail_request,
    files_of,
    get_request,
    note_flow_run,
    renew_requests,
    start_requests,
)
from stager.settings import get_settings
from tasks.alive import alive
from tasks.batch import Batch
from tasks.cancellation import is_being_cancelled
from tasks.entry import Entry
from tasks.report import in_words, report
from tasks.resolve import Resolver
from tasks.together import BATCH_SIZE, FEW, Together, is_small
from tasks.writer import Writer


class Record:
    """The requests of one run, from their opening to their ending."""

    def __init__(self, method: StagingMethod, database: Database) -> None:
        self._method = method
        self._database = database
        self._flow_run_id: str = flow_run.get_id() or uuid.uuid4().hex
        self._holder = f"{self._flow_run_id}/{uuid.uuid4().hex[:8]}"
        self._lease = get_settings().lease
        self._logger = get_run_logger()
        self._requests: list[StagingRequestRow] = []
        self._stops: dict[str, threading.Event] = {}

    def open(self, form: StagingForm | None, request_ids: Sequence[str]) -> None:
        """Find the requests, or record the one that was typed in."""
        if form is not None:
            run = self._flow_run_id
            row = create_request(self._database, form.request(), idempotency_key=run, flow_run_id=run)
            request_ids = (row.id, *request_ids)
        note_flow_run(self._database, request_ids, self._flow_run_id)
        self._requests = [get_request(self._database, request_id) for request_id in request_ids]
        self._stops = {request.id: threading.Event() for request in self._requests}

    def alive(self) -> AbstractContextManager[None]:
        """Say that the run lives while the body runs, and listen for cancellation."""
        return alive(self._database, self._stops, flow_run_id=self._flow_run_id, holder=self._holder, lease=self._lease)

    def batches(self) -> Iterator[Batch]:
        """Yield what is to be done: the small requests together, then the others, so that no small one waits."""
        together, large = Together(), []
        for request, resolver in self._begun():
            entries = self._small(request, resolver) if len(self._requests) > 1 else None
            if entries is None:
                large.append((request, resolver))
                continue
            if not together.has_room_for(entries):
                yield from self._batch_of(together)
                together = Together()
            together.add(request.id, entries)
        yield from self._batch_of(together)
        for request, resolver in large:
            yield from self._batches_of(request, resolver)
            self._close_request(request.id)

    def _begun(self) -> Iterator[tuple[StagingRequestRow, Resolver]]:
        """Take the requests up, one by one; close those that cannot be begun."""
        for request in self._requests:
            try:
                resolver = self._start(request)
            except StagingError as error:
                fail_request(self._database, request.id, error, flow_run_id=self._flow_run_id)
            else:
                if resolver is not None:
                    yield request, resolver

    def _start(self, request: StagingRequestRow) -> Resolver | None:
        """Take a request up; return None when it has ended already."""
        if request.method != self._method.name or request.method not in get_settings().allowed_methods:
            raise InvalidMethod(request.method)
        resolver = Resolver(request)
        acting_as = resolver.identity.acting_as
        (row,) = start_requests(self._database, [request.id], flow_run_id=self._flow_run_id, acting_as=acting_as)
        if row.status.is_final:
            return None
        self._logger.info("%s for %s, acting as %s: %s", request.method, request.username, acting_as, request.id)
        return resolver

    def _small(self, request: StagingRequestRow, resolver: Resolver) -> list[Entry] | None:
        """Return the items of a request of few small files, None of any other."""
        files = files_of(self._database, request.id, limit=FEW + 1)
        entries = self._entries(request, resolver, files)
        return entries if len(files) <= FEW and all(is_small(entry.item.source) for entry in entries) else None

    def _batch_of(self, together: Together) -> Iterator[Batch]:
        if together.entries:
            yield self._batch(together.entries)
        for request_id in together.request_ids:
            self._close_request(request_id)

    def _batches_of(self, request: StagingRequestRow, resolver: Resolver) -> Iterator[Batch]:
        position = None
        while files := files_of(self._database, request.id, after=position, limit=BATCH_SIZE):
            position = files[-1].position
            if entries := self._entries(request, resolver, files):
                yield self._batch(entries)
            if self._stops[request.id].is_set():
                return

    def _entries(self, request: StagingRequestRow, resolver: Resolver, files: Sequence[StagedFile]) -> list[Entry]:
        todo = [file for file in files if not file.status.is_final]
        return resolver.entries(self._database, todo, stopped=self._stops[request.id]) if todo else []

    def _batch(self, entries: list[Entry]) -> Batch:
        writer = Writer(database=self._database, holder=self._holder, lease=self._lease)
        return Batch(method=self._method, entries=entries, writer=writer)

    def _close_request(self, request_id: str) -> None:
        close_request(
            self._database,
            request_id,
            holder=self._holder,
            flow_run_id=self._flow_run_id,
            cancelled=self._stops[request_id].is_set(),
        )

    def abort(self, error: BaseException) -> None:
        """Close what the run leaves behind when it is stopped or broken.

        A run that is only terminated (its pod is moved, its worker stops) may
        be given to another process: its requests stay open, and the reconciler
        closes them when Prefect says that the run is over.
        """
        if isinstance(error, TerminationSignal) and is_being_cancelled():
            self._close(Cancelled())
        elif isinstance(error, Exception):
            self._close(error if isinstance(error, StagingError) else UnforeseenError(error))
        else:
            renew_requests(self._database, list(self._stops), seconds=0)

    def _close(self, error: StagingError) -> None:
        for request in self._requests:
            fail_request(self._database, request.id, error, flow_run_id=self._flow_run_id)

    def conclusion(self) -> State[Any]:
        """Return the run's final state, with a sentence that says how it went."""
        rows = [get_request(self._database, request.id) for request in self._requests]
        if not rows:
            return Failed(message="Nothing was asked for: fill in the request.")
        report(self._database, rows)
        is_cancelled = all(row.status is Status.CANCELLED for row in rows)
        if is_cancelled:
            return CancelledState(message=in_words(rows))
        if any(row.status in (Status.FAILED, Status.CANCELLED) for row in rows):
            return Failed(message=in_words(rows))
        return Completed(message=in_words(rows))


@contextmanager
def recorded(method: StagingMethod, *, request: StagingForm | None, request_ids: Sequence[str]) -> Iterator[Record]:
    """Open the requests of a run, and close them however the body ends.

    Parameters
    ----------
    request
        What a person typed in; it is recorded before anything is done.
    request_ids
        Requests that are recorded already.

    Raises
    ------
    RequestNotFound
        There is none of that id.
    """
    database = Database(get_settings().database_url.get_secret_value())
    record = Record(method, database)
    try:
        record.open(request, request_ids)
        with record.alive():
            yield record
    except BaseException as error:
        record.abort(error)
        raise
