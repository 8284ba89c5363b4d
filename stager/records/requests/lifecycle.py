"""The lifecycle of requests: they are started and closed, and never opened again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy.orm import Session

from stager.errors import Cancelled, RunLost, StagingError
from stager.models import Status
from stager.records.database import Database, now
from stager.records.events import note_event
from stager.records.requests.ending import end_in, end_shard_in, end_waiting_shards, stop_in, why_stopped
from stager.records.requests.lookup import get_request, request_in
from stager.records.shards import has_other_writer, named, shards_in, show_run
from stager.records.tables import Shard, StagingRequestRow

UNFINISHED = "the run ended before this was done"


def start_requests(
    database: Database, request_ids: Sequence[str], *, flow_run_id: str | None, acting_as: str
) -> list[StagingRequestRow]:
    """Record that a run has begun its shards of some requests, and return the requests' records in that order.

    Their items are begun as the run comes to them: a million at once would
    keep every other writer waiting.

    One that has ended already stays as it is: look at its status. A run that
    was begun twice, or begun again by another run, goes on.

    Parameters
    ----------
    flow_run_id
        The run that does them; its ending is what a reconciler goes by.
    acting_as
        The account that the files are written as, in words.

    Raises
    ------
    RequestNotFound
        There is none of that id; then none is started.
    """

    def work(session: Session) -> list[StagingRequestRow]:
        rows = {i: request_in(session, i, locked=True) for i in sorted(set(request_ids))}
        shards = shards_in(session, rows)
        for row in rows.values():
            if not row.status.is_final:
                _start(session, row, shards[row.id], flow_run_id=flow_run_id, acting_as=acting_as)
        return [rows[request_id] for request_id in request_ids]

    return database.write(work)


def close_requests(
    database: Database,
    request_ids: Collection[str],
    *,
    holder: str | None = None,
    flow_run_id: str | None = None,
    cancelled: Collection[str] = (),
    ends: Mapping[str, int] | None = None,
) -> list[StagingRequestRow]:
    """Close a run's shards of requests by how their items ended, and return the requests' records in the ids' order.

    All in one transaction. Whoever closes the last shard of a request closes that:
    ``completed`` when every item is completed or skipped, ``skipped`` when all
    are skipped, ``cancelled`` when some were cancelled, else ``failed``, with
    a reason that counts and names. What is still open is closed with it. One
    that has ended stays as it ended.

    Parameters
    ----------
    holder
        Who closes them; one that another living writer has leases for is left open for that one.
    flow_run_id
        The run that closes them; what another run has is left to that one. Without one, all are closed.
    cancelled
        The ids of those that the run was told to leave: what is still open of them was cancelled, as it is where that
        was asked for.
    ends
        By the ids, where the shards ended that the run has done: one that has grown since is left open, unless the run
        was told to leave it.

    Raises
    ------
    RequestNotFound
        There is none of such an id; then none is closed.
    """

    def work(session: Session) -> list[StagingRequestRow]:
        rows = [request_in(session, request_id, locked=True) for request_id in sorted(request_ids)]
        for row in rows:
            is_stopped = row.id in cancelled or row.cancel_requested
            error = why_stopped(row, now(session)) if is_stopped else RunLost(UNFINISHED)
            for shard in _open_shards(session, row, flow_run_id):
                if ends and not is_stopped and shard.end_position > ends.get(row.id, shard.end_position):
                    continue
                if holder is None or not has_other_writer(session, shard, holder=holder):
                    end_shard_in(session, row, shard, error)
        return rows

    return database.write(work)


def fail_request(
    database: Database, request_id: str, error: StagingError, *, flow_run_id: str | None = None
) -> StagingRequestRow:
    """Close a request, or a run's shard of it, as failed, and return its record.

    What is still open ends with that error: `Cancelled` makes it
    ``cancelled``, any other ``failed``. Items that ended keep their ending.
    Its leases are taken away, so a run that lives after all cannot publish.
    One that has ended stays as it ended. Whoever cancels one run of a request
    cancels that: its other runs are asked to stop.

    Parameters
    ----------
    flow_run_id
        As in ``close_requests``.

    Raises
    ------
    RequestNotFound
        There is none of that id.
    """

    def work(session: Session) -> StagingRequestRow:
        row = request_in(session, request_id, locked=True)
        if row.status.is_final:
            return row
        if flow_run_id is None:
            end_in(session, row, error)
            return row
        for shard in _open_shards(session, row, flow_run_id):
            end_shard_in(session, row, shard, Cancelled(error.message) if row.cancel_requested else error)
            if isinstance(error, Cancelled) and not row.status.is_final:
                stop_in(session, row, error, why="one of its runs was cancelled")
        return row

    row = database.write(work)
    if row.cancel_requested and not row.status.is_final:
        end_waiting_shards(database, request_id)
        return get_request(database, request_id)
    return row


def _open_shards(session: Session, row: StagingRequestRow, flow_run_id: str | None) -> list[Shard]:
    """Return the shards of a request that have not ended, those of one run or all."""
    return [
        shard
        for shard in shards_in(session, [row.id])[row.id]
        if not shard.status.is_final and flow_run_id in (None, shard.flow_run_id)
    ]


def _start(
    session: Session, row: StagingRequestRow, shards: Sequence[Shard], *, flow_run_id: str | None, acting_as: str
) -> None:
    moment = now(session)
    for shard in shards:
        is_anothers = shard.flow_run_id != flow_run_id
        is_begun = shard.status is Status.STARTED
        if shard.status.is_final or (is_anothers and shard.shard_count > 1) or (is_begun and not is_anothers):
            continue
        said = f"{named(shard)}started {'again ' if is_begun else ''}by flow run {flow_run_id} as {acting_as}"
        note_event(session, row.id, kind="started", detail=said)
        shard.status, shard.started_at = Status.STARTED, shard.started_at or moment
        if is_anothers:
            shard.flow_run_id, shard.flow_run_at = flow_run_id, moment
        row.status, row.acting_as, row.started_at = Status.STARTED, acting_as, row.started_at or moment
    show_run(row, shards)
