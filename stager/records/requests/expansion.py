"""Items that stand for many: what they stand for is added to their request in pages, and cut into shards meanwhile.

How far one is, its row says: the position of the last item that was added. What
was added and is no shard's yet are the request's last items.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.errors import Cancelled, LeaseLost, SharedDestination, StagingError, TooManyItems
from stager.models import StagingItem, Status
from stager.records.cutting import Cutter, Piece, ShardLimits
from stager.records.database import Database, chunks, now
from stager.records.events import note_event
from stager.records.leases import lease_in
from stager.records.requests.ending import why_stopped
from stager.records.requests.lookup import request_in
from stager.records.requests.new_rows import file_rows
from stager.records.shards import add_shards, rest_of, shards_in
from stager.records.tables import FILE, Shard, StagedFile, StagingRequestRow

# Requests that come from Prefect are their one run's, wherever nobody hands out shards.
ONE_RUN = "prefect"


class AddedItem(NamedTuple):
    """An item that another stands for: its size, if that is known, and its destination's key, if it can be a place."""

    item: StagingItem
    size_bytes: int | None
    place_key: str | None


def expansion_of(database: Database, file_id: int) -> tuple[StagedFile, str | None]:
    """Return the record of an item that stands for many, and the destination of the last that was added."""
    file = StagedFile

    def work(session: Session) -> tuple[StagedFile, str | None]:
        row = session.get_one(file, file_id)
        last = select(col(file.relative_path)).where(
            col(file.request_id) == row.request_id, col(file.position) == row.expanded_to
        )
        return row, session.scalar(last) if row.expanded_to is not None else None

    return database.read(work)


def expansions_among(database: Database, request_id: str, *, statuses: Collection[Status]) -> set[int]:
    """Return the positions of a request's items of some statuses that stand for many."""
    file = StagedFile
    its = (col(file.request_id) == request_id, col(file.status).in_(statuses), col(file.expand).is_not(None))
    return database.read(lambda session: set(session.scalars(select(col(file.position)).where(*its))))


def add_expanded(
    database: Database,
    file: StagedFile,
    added: Sequence[AddedItem],
    *,
    holder: str,
    limits: ShardLimits,
    most_items: int,
) -> StagedFile:
    """Add the next items that an item stands for to its request, all or none, and return its record.

    One whose destination another item of the request has is added as failed.

    Parameters
    ----------
    file
        The item's record as it was before: with the same, they are added once.
    holder
        Who has the item's lease, as in ``acquire_leases``.
    limits
        How large a shard may be; one that is full is handed to a run at once.
    most_items
        How many items a request may have.

    Raises
    ------
    LeaseLost
        Another holder has it.
    Cancelled
        The request is to be stopped, or the item.
    TooManyItems
        The request would have more than it may have.
    """

    def work(session: Session) -> StagedFile:
        row, parent = _locked(session, file, holder)
        if parent.expanded_to != file.expanded_to:  # by an earlier try, whose answer was lost
            return parent
        if row.cancel_requested or row.status.is_final:
            raise why_stopped(row, now(session))
        if parent.cancel_requested:
            raise Cancelled
        if row.item_count + len(added) > most_items:
            raise TooManyItems(
                most_items, f"{file.relative_path} would have the request have more; expand less at once"
            )
        rest = rest_of(session, row)
        session.connection().execute(insert(FILE), _rows(session, row, parent, added))
        row.item_count += len(added)
        parent.expanded_to = row.item_count - 1
        parent.expanded_count = (parent.expanded_count or 0) + len(added)
        if not _has_one_run(row):
            _hand_out(session, row, rest, [one.size_bytes for one in added], limits)
        return parent

    return database.write(work)


def end_expansion(
    database: Database, file: StagedFile, error: StagingError | None, *, holder: str, limits: ShardLimits
) -> Shard:
    """End an item that stands for many, and return its shard.

    What was added and has no shard becomes this one's, if it is small enough and may be, or else another.

    Parameters
    ----------
    error
        Why not all was added; None if it was.
    holder, limits
        As in ``add_expanded``.

    Raises
    ------
    LeaseLost
        Another holder has it.
    """

    def work(session: Session) -> Shard:
        row, parent = _locked(session, file, holder)
        shards = shards_in(session, [row.id])[row.id]
        own = next(shard for shard in shards if parent.position in shard.positions)
        if not parent.status.is_final:
            _end(session, parent, error)
            if not row.cancel_requested:
                _give(session, row, own, rest_of(session, row), limits)
        return own

    return database.write(work)


def _locked(session: Session, file: StagedFile, holder: str) -> tuple[StagingRequestRow, StagedFile]:
    row = request_in(session, file.request_id, locked=True)
    parent = session.get_one(StagedFile, file.id, with_for_update=True)
    lease = lease_in(session, parent.destination_key)
    if lease is None or lease.holder != holder:
        raise LeaseLost(parent.relative_path)
    return row, parent


def _has_one_run(row: StagingRequestRow) -> bool:
    """Return whether one run does a request; a secret, too, is handed to one process at a time."""
    return row.has_secret or row.origin == ONE_RUN


def _rows(
    session: Session, row: StagingRequestRow, parent: StagedFile, added: Sequence[AddedItem]
) -> list[dict[str, Any]]:
    rows = file_rows([one.item for one in added], request_id=row.id, start=row.item_count)
    keys = {name["destination_key"] for name in rows} | {one.place_key for one in added if one.place_key}
    taken = _positions_of(session, row.id, keys)
    moment = now(session)
    for one, new in zip(added, rows, strict=True):
        new |= {"expanded_from": parent.position, "size_bytes": one.size_bytes}
        new |= {"error_reason": None, "error_type": None, "finished_at": None}
        other = taken.get(new["destination_key"], taken.get(one.place_key or ""))
        if other is not None:
            error = SharedDestination(other, new["position"])
            new |= {"status": Status.FAILED, "error_reason": error.message, "error_type": type(error).__name__}
            new["finished_at"] = moment
    return rows


def _positions_of(session: Session, request_id: str, keys: Collection[str]) -> dict[str, int]:
    """Return the positions of a request's items by those keys that they have."""
    file = StagedFile
    found: dict[str, int] = {}
    # In words that no index has, so that the keys' is used: SQLite would look through all of the request.
    is_its = func.substr(col(file.request_id), 1) == request_id
    for some in chunks(sorted(keys)):
        its = (col(file.destination_key).in_(some), is_its)
        found |= session.execute(select(col(file.destination_key), col(file.position)).where(*its)).tuples().all()
    return found


def _hand_out(
    session: Session, row: StagingRequestRow, rest: Piece, sizes: Sequence[int | None], limits: ShardLimits
) -> None:
    """Make shards of what is full of the request's last items, given those before and the sizes of the new ones."""
    count = session.scalar(select(func.count()).select_from(Shard).where(col(Shard.request_id) == row.id)) or 0
    cutter = Cutter(limits.after(count), begun=rest)
    cutter.add(sizes)
    if full := cutter.pieces()[:-1]:
        add_shards(session, row, full)


def _give(session: Session, row: StagingRequestRow, own: Shard, rest: Piece, limits: ShardLimits) -> None:
    """Give the request's last items to a shard that goes on with them, or to a new one."""
    if rest.first == rest.end:
        return
    grown = Piece(own.first_position, rest.end, own.size_bytes + rest.size_bytes)
    if own.end_position == rest.first and (_has_one_run(row) or limits.hold(grown)):
        own.end_position, own.size_bytes = grown.end, grown.size_bytes
    else:
        add_shards(session, row, [rest])


def _end(session: Session, parent: StagedFile, error: StagingError | None) -> None:
    count = parent.expanded_count or 0
    parent.status, parent.finished_at = Status.COMPLETED, now(session)
    parent.size_bytes = parent.file_count = 0  # all that is known of it is its items'
    said = "1 item" if count == 1 else f"{count} items"
    if error is not None:
        parent.status = Status.CANCELLED if isinstance(error, Cancelled) else Status.FAILED
        parent.error_reason, parent.error_type = error.message, type(error).__name__
        said = f"{said}, and no more: {error.message}"
    detail, cause = f"item {parent.position} became {said}", parent.error_type
    note_event(session, parent.request_id, kind="expanded", detail=detail, cause=cause)
