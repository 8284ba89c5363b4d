"""Cancellation of requests, or of some of their items."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.errors import Cancelled, ItemNotFound
from stager.models import Status
from stager.records.database import Database, chunks, now
from stager.records.downloads.record import DIRECT_DOWNLOAD
from stager.records.events import note_event
from stager.records.requests.ending import end_shard_in, end_waiting_shards, stop_in
from stager.records.requests.lookup import get_request, request_in
from stager.records.requests.rest import hand_out_rest
from stager.records.shards import items_of_shard, shards_in
from stager.records.tables import OPEN, Shard, StagedFile, StagingRequestRow


def cancel_request(database: Database, request_id: str) -> StagingRequestRow:
    """Cancel a request, or ask its run to stop, and return its record.

    One that no run has begun ends ``cancelled`` at once. Else its run, which
    looks every second, ends it, alone of those that it carries. One that has
    ended stays as it ended.

    Raises
    ------
    RequestNotFound
        There is none of that id.
    """

    def stop(session: Session, row: StagingRequestRow) -> None:
        stop_in(session, row, Cancelled(), why=f"{_who_works(row)} was asked to stop")

    return stop_request(database, request_id, stop)


def stop_request(
    database: Database, request_id: str, stop: Callable[[Session, StagingRequestRow], None]
) -> StagingRequestRow:
    """Stop a request in a transaction, then end its shards that no run has begun, and return its record.

    Parameters
    ----------
    stop
        Calls ``stop_in``, if the request, which is locked, is still to be stopped.

    Raises
    ------
    RequestNotFound
        There is none of that id.
    """

    def work(session: Session) -> StagingRequestRow:
        row = request_in(session, request_id, locked=True)
        stop(session, row)
        return row

    row = database.write(work)
    if row.status.is_final:
        return row
    end_waiting_shards(database, request_id)
    return get_request(database, request_id)


def cancel_run(database: Database, flow_run_id: str) -> None:
    """Cancel all open requests of a run, as ``cancel_request`` does."""
    row = StagingRequestRow
    its = select(col(Shard.request_id)).where(col(Shard.flow_run_id) == flow_run_id, col(Shard.status).in_(OPEN))
    statement = select(row).where(col(row.id).in_(its)).order_by(col(row.id))

    def work(session: Session) -> list[str]:
        rows = session.scalars(statement.with_for_update()).all()
        for one in rows:
            stop_in(session, one, Cancelled(), why="its run was asked to stop")
        return [one.id for one in rows if not one.status.is_final]

    for request_id in database.write(work):
        end_waiting_shards(database, request_id)


def end_cancelled_shards(database: Database) -> int:
    """End the shards that no run has begun of requests that were asked to stop; return of how many requests.

    Whoever asked that may have been killed before all of them were ended.
    """
    row, shard = StagingRequestRow, Shard
    left = select(col(row.id)).join(shard, col(shard.request_id) == col(row.id)).distinct()
    left = left.where(col(shard.status) == Status.SUBMITTED, col(row.status).in_(OPEN), col(row.cancel_requested))
    found = database.read(lambda session: session.scalars(left).all())
    for request_id in found:
        end_waiting_shards(database, request_id)
    return len(found)


def cancel_items(database: Database, request_id: str, positions: Collection[int]) -> StagingRequestRow:
    """Cancel some items of a request, all or none, and return its record.

    As with ``cancel_request``: at once before a run has begun the request,
    else by its run, which goes on with the others. Items that ended keep their
    ending.

    Raises
    ------
    RequestNotFound, ItemNotFound
        There is none of that id, or no item at one of the positions.
    """
    wanted = sorted(set(positions))

    def work(session: Session) -> StagingRequestRow:
        row = request_in(session, request_id, locked=True)
        found = _open_items(session, request_id, wanted)
        if row.status.is_final:
            return row
        waiting = [shard for shard in shards_in(session, [request_id])[request_id] if shard.status is Status.SUBMITTED]
        for shard in waiting:
            if its := [found.pop(position) for position in sorted(found) if position in shard.positions]:
                _end_items(session, row, shard, its)
        if found:
            _ask_to_stop(session, row, list(found.values()))
        return row

    return database.write(work)


def _open_items(session: Session, request_id: str, positions: Sequence[int]) -> dict[int, int]:
    """Return the ids of the items at some positions, by these, that are open and not being cancelled yet."""
    file = StagedFile
    found, ids = set(), {}
    for some in chunks(positions):
        rows = select(file).where(col(file.request_id) == request_id, col(file.position).in_(some))
        for row in session.scalars(rows.order_by(col(file.id)).with_for_update()):
            found.add(row.position)
            if not row.status.is_final and not row.cancel_requested:
                ids[row.position] = row.id
    for position in positions:
        if position not in found:
            raise ItemNotFound(request_id, position)
    return ids


def _end_items(session: Session, row: StagingRequestRow, shard: Shard, ids: Sequence[int]) -> None:
    """End items of a shard that no run has begun, and it with the last of them."""
    file, error = StagedFile, Cancelled()
    ending = {"error_reason": error.message, "error_type": type(error).__name__, "finished_at": now(session)}
    for some in chunks(ids):
        session.execute(update(file).where(col(file.id).in_(some)).values(status=Status.CANCELLED, **ending))
    hand_out_rest(session, row, to=shard)
    if session.scalar(select(exists().where(*items_of_shard(shard), col(file.status).in_(OPEN)))):
        note_event(session, row.id, kind="items_cancelled", detail=_in_words(ids, error.message))
    else:
        end_shard_in(session, row, shard, error)


def _ask_to_stop(session: Session, row: StagingRequestRow, ids: Sequence[int]) -> None:
    file = StagedFile
    for some in chunks(ids):
        session.execute(update(file).where(col(file.id).in_(some)).values(cancel_requested=True))
    detail = _in_words(ids, f"{_who_works(row)} was asked to stop them")
    note_event(session, row.id, kind="items_cancelled", detail=detail)


def _who_works(row: StagingRequestRow) -> str:
    return "the service that sends it" if row.method == DIRECT_DOWNLOAD else "its run"


def _in_words(ids: Sequence[int], what: str) -> str:
    return f"1 item: {what}" if len(ids) == 1 else f"{len(ids)} items: {what}"
