"""Items that stand for many: what they stand for is added to their request in pages, and cut into shards meanwhile.

How far one is, its row says: the position of the last item that was added. What
was added and is no shard's yet are the request's last items.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sqlalchemy import insert, select
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.errors import Cancelled, LeaseLost, StagingError, TooManyItems
from stager.models import StagingItem, Status
from stager.records.cutting import ShardLimits
from stager.records.database import Database, now
from stager.records.events import note_event
from stager.records.leases import lease_in
from stager.records.requests.ending import why_stopped
from stager.records.requests.lookup import request_in
from stager.records.requests.new_rows import file_rows
from stager.records.requests.rest import hand_out_full, hand_out_rest, has_one_run, rest_of
from stager.records.tables import FILE, Shard, StagedFile, StagingRequestRow
from stager.vocabulary import Pool


class AddedItem(NamedTuple):
    """An item that another stands for, and its size, if that is known."""

    item: StagingItem
    size_bytes: int | None


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
    left_out: StagingError | None = None,
) -> StagedFile:
    """Add the next items that an item stands for to its request, all or none, and return its record.

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
    left_out
        Why something between them is none: the item fails by the first of these in the end.

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
        if left_out is not None and parent.error_type is None:
            parent.error_reason, parent.error_type = left_out.message, type(left_out).__name__
        if not added:
            return parent
        rest = None if has_one_run(row) else rest_of(session, row)
        session.connection().execute(insert(FILE), _rows(row, parent, added))
        row.item_count += len(added)
        parent.expanded_to = row.item_count - 1
        parent.expanded_count = (parent.expanded_count or 0) + len(added)
        if rest is not None:
            hand_out_full(session, row, rest, [one.size_bytes for one in added], limits)
        return parent

    return database.write(work)


def end_expansion(
    database: Database,
    file: StagedFile,
    error: StagingError | None,
    *,
    holder: str,
    limits: ShardLimits,
    warm_limits: ShardLimits | None = None,
) -> None:
    """End an item that stands for many.

    Once no other item of its request is to be expanded, what was added and has no shard becomes this one's, if it is
    small enough and may be, or else another.

    Parameters
    ----------
    error
        Why not all was added; None if it was.
    holder, limits
        As in ``add_expanded``.
    warm_limits
        How large its shard may become where a warm worker does it that the request did not ask for.

    Raises
    ------
    LeaseLost
        Another holder has it.
    """

    def work(session: Session) -> None:
        row, parent = _locked(session, file, holder)
        if not parent.status.is_final:
            _end(session, parent, error)
            own = _shard_of(session, parent)
            is_warm = own.run_pool is Pool.WARM and own.pool is not Pool.WARM
            hand_out_rest(session, row, to=own, limits=warm_limits if is_warm and warm_limits else limits)

    database.write(work)


def _shard_of(session: Session, parent: StagedFile) -> Shard:
    shard = Shard
    its = (col(shard.first_position) <= parent.position, col(shard.end_position) > parent.position)
    return session.scalars(select(shard).where(col(shard.request_id) == parent.request_id, *its)).one()


def _locked(session: Session, file: StagedFile, holder: str) -> tuple[StagingRequestRow, StagedFile]:
    row = request_in(session, file.request_id, locked=True)
    parent = session.get_one(StagedFile, file.id, with_for_update=True)
    lease = lease_in(session, parent.destination_key)
    if lease is None or lease.holder != holder:
        raise LeaseLost(parent.relative_path)
    return row, parent


def _rows(row: StagingRequestRow, parent: StagedFile, added: Sequence[AddedItem]) -> list[dict[str, Any]]:
    rows = file_rows([one.item for one in added], request_id=row.id, start=row.item_count)
    return [
        new | {"expanded_from": parent.position, "size_bytes": one.size_bytes}
        for one, new in zip(added, rows, strict=True)
    ]


def _end(session: Session, parent: StagedFile, error: StagingError | None) -> None:
    count = parent.expanded_count or 0
    parent.status, parent.finished_at = Status.COMPLETED, now(session)
    if error is not None:
        parent.error_reason, parent.error_type = error.message, type(error).__name__
    parent.size_bytes = parent.file_count = 0  # all that is known of it is its items'
    said = "1 item" if count == 1 else f"{count} items"
    if parent.error_type is not None:
        parent.status = Status.CANCELLED if isinstance(error, Cancelled) else Status.FAILED
        said = f"{said}, and no more: {parent.error_reason}"
    detail, cause = f"item {parent.position} became {said}", parent.error_type
    note_event(session, parent.request_id, kind="expanded", detail=detail, cause=cause)
