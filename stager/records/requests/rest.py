"""A request's rest: the items that were added to it and are no shard's yet, which are its last ones."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.models import MAX_SIZE_BYTES
from stager.records.cutting import Cutter, Piece, ShardLimits
from stager.records.database.sums import sum_of
from stager.records.shards import add_shards
from stager.records.tables import OPEN, Shard, StagedFile, StagingRequestRow

# Requests that come from Prefect are their one run's, wherever nobody hands out shards.
ONE_RUN = "prefect"


def has_one_run(row: StagingRequestRow) -> bool:
    """Return whether one run does a request; a secret, too, is handed to one process at a time."""
    return row.has_secret or row.origin == ONE_RUN


def rest_of(session: Session, row: StagingRequestRow) -> Piece:
    """Return a request's rest; there may be none."""
    file, ends = StagedFile, select(func.max(col(Shard.end_position))).where(col(Shard.request_id) == row.id)
    first = session.scalar(ends) or 0
    sizes = select(sum_of(col(file.size_bytes))).where(col(file.request_id) == row.id, col(file.position) >= first)
    size_bytes = int(session.scalar(sizes) or 0) if first < row.item_count else 0
    return Piece(first, row.item_count, size_bytes)


def hand_out_full(
    session: Session, row: StagingRequestRow, rest: Piece, sizes: Sequence[int | None], limits: ShardLimits
) -> None:
    """Make shards of what is full of a request's rest, given that before and the sizes of the new items."""
    count = session.scalar(select(func.count()).select_from(Shard).where(col(Shard.request_id) == row.id)) or 0
    cutter = Cutter(limits.after(count), begun=rest)
    cutter.add(sizes)
    if full := cutter.pieces()[:-1]:
        add_shards(session, row, full)


def hand_out_rest(
    session: Session, row: StagingRequestRow, *, to: Shard | None = None, limits: ShardLimits | None = None
) -> None:
    """Hand out a request's rest, once nothing more is added to it, unless the request is to be stopped.

    Parameters
    ----------
    to
        A shard that is open and can go on with it: it does if the request has one run, or if it is small enough then.
        Otherwise, the rest becomes another shard; of a request of one run, it stays what it is.
    limits
        How large that shard may become; without any, it does not grow.
    """
    rest = rest_of(session, row)
    if rest.first == rest.end or row.cancel_requested or _is_expanding(session, row):
        return
    one_run = has_one_run(row)
    if to is not None and to.end_position == rest.first:
        grown = Piece(to.first_position, rest.end, min(to.size_bytes + rest.size_bytes, MAX_SIZE_BYTES))
        if one_run or (limits is not None and limits.hold(grown)):
            to.end_position, to.size_bytes = grown.end, grown.size_bytes
            return
    if not one_run:
        add_shards(session, row, [rest])


def _is_expanding(session: Session, row: StagingRequestRow) -> bool:
    """Return whether an item of a request that stands for many has not ended."""
    file = StagedFile
    its = (col(file.request_id) == row.id, col(file.status).in_(OPEN), col(file.expand).is_not(None))
    return session.scalar(select(col(file.id)).where(*its).limit(1)) is not None
