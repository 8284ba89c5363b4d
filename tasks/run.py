"""A run, as every flow uses it: it opens requests before the steps and closes them after, however that ends."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from typing import Any

from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.exceptions import TerminationSignal
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.states import Cancelled as CancelledState
from prefect.states import Completed, Failed

from blocks.staging_form import StagingForm
from stager.errors import (
    AnotherUsersRun,
    Cancelled,
    InvalidMethod,
    StagingError,
    TypedRunNotAllowed,
    UnforeseenError,
)
from stager.garbage import search_less
from stager.methods import StagingMethod
from stager.models import Status
from stager.paths import Location
from stager.records.database import Database
from stager.records.items import files_of, first_files
from stager.records.leases import new_holder
from stager.records.requests import (
    adopt_requests,
    close_requests,
    create_request,
    fail_request,
    get_requests,
    renew_requests,
    start_requests,
)
from stager.records.runs import note_flow_run
from stager.records.shards import shards_of
from stager.records.tables import Shard, StagedFile, StagingRequestRow
from stager.runs.batch import Batch
from stager.runs.batch_size import BATCH_SIZE, batch_size_after
from stager.runs.become_user import ActingUser
from stager.runs.destinations import LeaseHolder
from stager.runs.entry import Entry
from stager.runs.expansion import Expansion
from stager.runs.heartbeat import alive
from stager.runs.resolve import Resolver, resolve_files, stop_of
from stager.runs.shared_batches import MAX_SHARED_ITEMS, grouped, small_among
from stager.runs.stop import Stops
from stager.settings import get_settings
from tasks.database import records_database
from tasks.expand import expand
from tasks.report import Outcome, in_words, outcome_of, report
from tasks.retry_button import ENDINGS, retried, times_retried
from tasks.termination import is_being_cancelled


class Run:
    """The requests of one run, from their opening to their ending."""

    def __init__(self, method: StagingMethod, database: Database) -> None:
        self._method = method
        self._database = database
        self._flow_run_id: str = flow_run.get_id() or uuid.uuid4().hex
        self._run_key = _run_key()
        self._holder = new_holder(self._flow_run_id)
        self._lease = get_settings().lease
        self._writer = LeaseHolder(database=database, holder=self._holder, lease=self._lease)
        self._logger = get_run_logger()
        self._requests: list[StagingRequestRow] = []
        # What of each request is this run's: mostly the one shard that it has.
        self._shards: dict[str, Shard] = {}
        self._not_ours: list[str] = []
        self._is_refused = False
        self._stops = Stops(())
        # The acting user, once their first request is resolved.
        self._acting: ActingUser | None = None

    def open(self, form: StagingForm | None, request_ids: Sequence[str]) -> None:
        """Find the requests that were handed to this run, or record the one that was typed in."""
        adopt_requests(self._database, request_ids)
        found = get_requests(self._database, request_ids)
        if form is not None:
            found.append(self._typed(form))
        self._take(found)
        self._requests = [request for request in found if request.id in self._shards]
        self._not_ours = [request.id for request in found if request.id not in self._shards]
        if self._not_ours:
            self._logger.warning(
                "These requests were not handed to this run, and are left alone: %s", ", ".join(self._not_ours)
            )
        if unknown := [shard.request_id for shard in self._shards.values() if shard.flow_run_id is None]:
            note_flow_run(self._database, unknown, self._flow_run_id, run_key=self._run_key)
        self._stops = Stops(request.id for request in self._requests)

    def retry(self) -> None:
        """Do again, by new requests, what was not delivered, if Prefect's Retry was pressed and is allowed."""
        ours = [self._shards[request.id] for request in self._requests]
        undelivered = [shard for shard in ours if shard.status in ENDINGS]
        times = times_retried(self._flow_run_id) if undelivered else 0
        if not times:
            return
        if not get_settings().takes_typed_runs:
            self._is_refused = all(shard.status.is_final for shard in ours)
            return
        run = self._flow_run_id
        again = [
            retried(self._database, request, shard, flow_run_id=run, times=times)
            for request, shard in zip(self._requests, ours, strict=True)
        ]
        self._take(again)
        elsewhere = [request.id for request in again if not (request.status.is_final or request.id in self._shards)]
        self._requests = [request for request in again if request.id not in elsewhere]
        self._not_ours += elsewhere
        self._stops.take(request.id for request in self._requests)
        renew_requests(self._database, list(self._stops.requests), seconds=self._lease, flow_run_id=run)
        self._logger.info("Retrying what was not delivered: %s", ", ".join(request.id for request in self._requests))

    def _typed(self, form: StagingForm) -> StagingRequestRow:
        """Record what was typed in; where that is not allowed, as failed."""
        run = self._flow_run_id
        row = create_request(self._database, form.request(), idempotency_key=run, flow_run_id=run, origin="prefect")
        if get_settings().takes_typed_runs:
            return row
        return fail_request(self._database, row.id, TypedRunNotAllowed(), flow_run_id=run)

    def _take(self, requests: Sequence[StagingRequestRow]) -> None:
        """Find which shards of requests were handed to this run."""
        found = shards_of(self._database, [request.id for request in requests])
        ours = (shard for shards in found.values() for shard in shards if self._is_ours(shard))
        self._shards |= {shard.request_id: shard for shard in ours}

    def _is_ours(self, shard: Shard) -> bool:
        """Return whether a shard was handed to this run, by the run's id or the claim's key.

        The key, which Prefect keeps with the run, is on record before Prefect
        is asked; the id comes with its answer, which may be late or lost.
        """
        if shard.flow_run_id is None:
            return shard.run_key is not None and shard.run_key == self._run_key
        return shard.flow_run_id == self._flow_run_id

    def alive(self) -> AbstractContextManager[None]:
        """Send heartbeats and listen for cancellations while the body runs."""
        return alive(self._database, self._stops, flow_run_id=self._flow_run_id, holder=self._holder, lease=self._lease)

    def batches(self) -> Iterator[Batch]:
        """Yield the batches: those of small requests first, so that none of these waits for a large one."""
        begun = self._begun()
        few = self._few(begun) if len(begun) > 1 else {}
        for together in grouped(few):
            if together.entries:
                yield self._batch(together.entries)
            self._close_requests(together.request_ids)
        for request_id, resolver in begun.items():
            if request_id not in few:
                yield from self._batches_of_shard(request_id, resolver)

    @property
    def acting(self) -> ActingUser:
        """The user that the run acts as."""
        if self._acting is None:
            raise UnforeseenError(RuntimeError("no request was resolved"))
        return self._acting

    def close(self) -> None:
        """End the acting user's mover."""
        if self._acting is not None:
            self._acting.close()

    def _begun(self) -> dict[str, Resolver]:
        """Start all requests that have not ended yet, and return them by their ids."""
        resolvers = dict(self._resolved())
        if not resolvers:
            return {}
        acting_as, run = self.acting.identity.acting_as, self._flow_run_id
        rows = start_requests(self._database, list(resolvers), flow_run_id=run, acting_as=acting_as)
        begun = {row.id: resolvers[row.id] for row in rows if not row.status.is_final}
        self._stops.begun.update(begun)
        if begun:
            self._logger.info("%s acting as %s: %s", self._method.name, acting_as, ", ".join(begun))
        return begun

    def _resolved(self) -> Iterator[tuple[str, Resolver]]:
        """Resolve the names in each request; close those that cannot be begun."""
        for request in self._requests:
            if request.status.is_final or self._shards[request.id].status.is_final:
                continue
            try:
                if request.username != self._requests[0].username:
                    raise AnotherUsersRun(self._requests[0].username)
                if request.method != self._method.name or request.method not in get_settings().allowed_methods:
                    raise InvalidMethod(request.method)
                resolver = Resolver(request)
                self._acting = self._acting or ActingUser(resolver.identity)
                resolver.enter(self._acting)
                yield request.id, resolver
            except StagingError as error:
                fail_request(self._database, request.id, error, flow_run_id=self._flow_run_id)

    def _few(self, begun: dict[str, Resolver]) -> dict[str, list[Entry]]:
        """Return the items of the requests of few small files, where one batch may hold those of several."""
        if self._method.place is not Location:  # each may go to another server
            return {}
        files = first_files(self._database, list(begun), limit=MAX_SHARED_ITEMS + 1)
        few = [file for some in files.values() if _may_share(some) for file in some]
        found: dict[str, list[Entry]] = {request_id: [] for request_id, some in files.items() if _may_share(some)}
        for entry in self._entries(few, begun):
            found[entry.file.request_id].append(entry)
        if not few:
            return {}
        every = [entry for entries in found.values() for entry in entries]
        try:
            with self._method.connected(None, None) as method:
                worker = self.acting.worker(method, living=self._writer.written_by_others)
                small = small_among(every, worker, method.name)
        except StagingError:  # no mover, or none any more: each batch has its own, or its items end
            return {}
        return {
            request_id: entries for request_id, entries in found.items() if {one.file.id for one in entries} <= small
        }

    def _batches_of_shard(self, request_id: str, resolver: Resolver) -> Iterator[Batch]:
        """Yield a shard's batches and close it; it may grow meanwhile, also by a twin of this run."""
        shard, done = self._shards[request_id], self._shards[request_id].first_position
        while shard.end_position > done and not shard.status.is_final:
            yield from self._batches_of(request_id, resolver, range(done, shard.end_position))
            done = shard.end_position
            self._take(self._close_requests([request_id], ends={request_id: done}))
            shard = self._shards[request_id]

    def _batches_of(self, request_id: str, resolver: Resolver, left: range) -> Iterator[Batch]:
        size = BATCH_SIZE
        while left and (files := self._files(request_id, left[:size])):
            left = range(files[-1].position + 1, left.stop)
            for file in files:
                if file.expand and not file.status.is_final:
                    self._expand(file, resolver)
            if entries := self._entries(files, {request_id: resolver}):
                yield (batch := self._batch(entries, resolver))
                if self._method.place is Location:
                    size = batch_size_after(batch)
            if self._stops.requests[request_id].is_set():
                return

    def _expand(self, file: StagedFile, resolver: Resolver) -> None:
        stop = stop_of(file, self._stops.requests[file.request_id])
        self._stops.items = {file.id: stop}
        expand(Expansion(file, resolver, writer=self._writer, acting=self.acting, stopped=stop))

    def _files(self, request_id: str, positions: range) -> Sequence[StagedFile]:
        return files_of(self._database, request_id, after=positions.start - 1, limit=len(positions))

    def _entries(self, files: Sequence[StagedFile], resolvers: dict[str, Resolver]) -> list[Entry]:
        def entry(file: StagedFile) -> Entry:
            return resolvers[file.request_id].entry(file, whole=self._stops.requests[file.request_id])

        return resolve_files(self._database, [file for file in files if not file.expand], entry)

    def _batch(self, entries: list[Entry], resolver: Resolver | None = None) -> Batch:
        """Return a batch, whose items are all of one request where its resolver is given."""
        self._stops.items = {entry.file.id: entry.stopped for entry in entries}
        made = partial(Batch, method=self._method, entries=entries, writer=self._writer, acting=self.acting)
        if resolver is None:
            return made()
        secret = partial(resolver.secret, self._database, holder=self._holder, flow_run_id=self._flow_run_id)
        to = resolver.destination
        return made(connection=to.connection, limits=to.limits, secret=secret)

    def _close_requests(self, request_ids: list[str], ends: dict[str, int] | None = None) -> list[StagingRequestRow]:
        cancelled = {request_id for request_id in request_ids if self._stops.requests[request_id].is_set()}
        run, holder = self._flow_run_id, self._holder
        return close_requests(
            self._database, request_ids, holder=holder, flow_run_id=run, cancelled=cancelled, ends=ends
        )

    def abort(self, error: BaseException) -> None:
        """Close all requests that are open still when the run is stopped or fails.

        A run that is only terminated (its pod is moved, its worker stops) may
        be given to another process: its requests stay open, and the reconciler
        closes them when Prefect says that the run is over.
        """
        if isinstance(error, TerminationSignal) and is_being_cancelled():
            self._close(Cancelled())
            self._logger.info("Cancelled on request; what was delivered before stays, and the result table names it")
        elif isinstance(error, Exception):
            self._close(error if isinstance(error, StagingError) else UnforeseenError(error))
        else:
            renew_requests(self._database, list(self._stops.requests), seconds=0, flow_run_id=self._flow_run_id)

    def _close(self, error: StagingError) -> None:
        for request in self._requests:
            fail_request(self._database, request.id, error, flow_run_id=self._flow_run_id)
        if outcomes := self._outcomes():
            report(self._database, outcomes)

    def _outcomes(self) -> list[Outcome]:
        """Return how what this run did of each request has ended."""
        rows = get_requests(self._database, [request.id for request in self._requests])
        self._take(rows)
        return [outcome_of(row, self._shards.get(row.id)) for row in rows]

    def conclusion(self) -> State[Any]:
        """Return the run's final state, with a sentence that says how it went."""
        rows = self._outcomes()
        if self._not_ours and not rows:
            return Failed(message="Nothing was staged: the requests were not handed to this run.")
        if not rows:
            return Failed(message="Nothing was staged: the run names no request.")
        report(self._database, rows)
        if self._is_refused:
            return Failed(message=TypedRunNotAllowed().message)
        is_cancelled = all(row.status is Status.CANCELLED for row in rows)
        if is_cancelled:
            return CancelledState(message=in_words(rows))
        if any(row.status in (Status.FAILED, Status.CANCELLED) for row in rows):
            return Failed(message=in_words(rows))
        return Completed(message=in_words(rows))


def _may_share(files: Sequence[StagedFile]) -> bool:
    """Return whether a request of these items may share a batch: they are few, and none stands for more."""
    return len(files) <= MAX_SHARED_ITEMS and not any(file.expand for file in files)


def _run_key() -> str | None:
    """Return the idempotency key of the current run, which is the claim's."""
    context = FlowRunContext.get()
    return context.flow_run.idempotency_key if context and context.flow_run else None


@contextmanager
def recorded(
    method: StagingMethod, *, request: StagingForm | None = None, request_ids: Sequence[str] = ()
) -> Iterator[Run]:
    """Open the requests of a run while the body runs, and close them however it ends.

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
    search_less()
    database = records_database()
    record = Run(method, database)
    try:
        record.open(request, request_ids)
        with closing(record), record.alive():
            record.retry()
            yield record
    except BaseException as error:
        record.abort(error)
        raise
