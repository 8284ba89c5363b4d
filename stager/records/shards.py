"""Shards: the parts of a request that one run each does. A small request has one.

What belongs to a run is its shard's: the claim, the flow run, the heartbeat,
the crashes. A request shows the run of its first shard that is open, or of its
last: versions before this one know no others, and go by that.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, exists, func, insert, or_, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.models import MAX_SIZE_BYTES, Status
from stager.records.cutting import Piece
from stager.records.database import Database, now
from stager.records.database.sums import sum_of
from stager.records.leases import is_held_by_run
from stager.records.tables import REQUEST, SHARD, DestinationLease, Shard, StagedFile, StagingRequestRow

# What a request shows of a shard.
SHOWN = ("run_key", "flow_run_id", "flow_run_at", "alive_until")


def shard_rows(request: Mapping[str, Any], pieces: Sequence[Piece], *, after: int = 0) -> list[dict[str, Any]]:
    """Return the rows of a request's new shards, after so many that it has."""
    of_request = {name: request[name] for name in ("username", "method", "priority", "pool")}
    return [
        {
            **of_request,
            "request_id": request["id"],
            "number": number,
            "shard_count": after + len(pieces),
            "first_position": piece.first,
            "end_position": piece.end,
            "size_bytes": min(piece.size_bytes, MAX_SIZE_BYTES),
            "status": Status.SUBMITTED,
            "flow_run_id": request.get("flow_run_id"),
            "crashes": 0,
        }
        for number, piece in enumerate(pieces, after)
    ]


def insert_shards(session: Session, row: StagingRequestRow, pieces: Sequence[Piece]) -> None:
    """Record the shards of a request that is there, as far as its run is."""
    kept = {name: getattr(row, name) for name in ("created_at", "started_at", "status", "crashes", *SHOWN)}
    session.execute(insert(Shard), [shard | kept for shard in shard_rows(row.model_dump(), pieces)])


def add_shards(session: Session, row: StagingRequestRow, pieces: Sequence[Piece]) -> None:
    """Record further shards of a request, which is locked and under way."""
    after = session.scalar(select(func.count()).select_from(Shard).where(col(Shard.request_id) == row.id)) or 0
    request = {name: getattr(row, name) for name in ("id", "username", "method", "priority", "pool")}
    new = [shard | {"created_at": row.created_at} for shard in shard_rows(request, pieces, after=after)]
    session.execute(insert(Shard), new)
    session.execute(update(SHARD).where(SHARD.c.request_id == row.id).values(shard_count=after + len(pieces)))


def one_piece(session: Session, row: StagingRequestRow) -> Piece:
    """Return all of a request, whose items are there, as one piece."""
    file = StagedFile
    sizes = select(sum_of(col(file.expected_size_bytes))).where(col(file.request_id) == row.id)
    return Piece(0, row.item_count, int(session.scalar(sizes) or 0))


def shards_of(database: Database, request_ids: Collection[str]) -> dict[str, list[Shard]]:
    """Return the shards of some requests by their ids, in their order."""
    return database.read(lambda session: shards_in(session, request_ids, locked=False))


def shards_in(session: Session, request_ids: Collection[str], *, locked: bool = True) -> dict[str, list[Shard]]:
    """Return the shards of some requests within a transaction; if locked, until its end: lock the requests before."""
    found: dict[str, list[Shard]] = {request_id: [] for request_id in request_ids}
    statement = select(Shard).where(col(Shard.request_id).in_(found))
    ordered = statement.order_by(col(Shard.request_id), col(Shard.number)).execution_options(populate_existing=True)
    for shard in session.scalars(ordered.with_for_update() if locked else ordered):
        found[shard.request_id].append(shard)
    return found


def is_of_run(flow_run_id: str | None) -> ColumnElement[bool]:
    """Return the condition that a shard is a run's; that of a request with one, whichever run has it."""
    return or_(col(Shard.shard_count) == 1, col(Shard.flow_run_id) == flow_run_id)


def named(shard: Shard) -> str:
    """Return which part of its request a shard is, to begin a sentence with; nothing where it is the whole."""
    return f"shard {shard.number + 1} of {shard.shard_count}: " if shard.shard_count > 1 else ""


def items_of_shard(shard: Shard) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that an item is a shard's."""
    file = StagedFile
    whose = col(file.request_id) == shard.request_id
    if shard.shard_count == 1:
        return (whose,)
    return (whose, col(file.position) >= shard.first_position, col(file.position) < shard.end_position)


def take_leases_away(session: Session, shard: Shard) -> None:
    """Remove the leases of a shard's run, so that it publishes nothing more."""
    lease = DestinationLease
    its = [col(lease.request_id) == shard.request_id]
    if shard.shard_count > 1:
        its.append(is_held_by_run(shard.flow_run_id or ""))
    session.execute(delete(lease).where(*its))


def is_written_for(moment: datetime, *, but_by: str | None = None) -> ColumnElement[bool]:
    """Return the condition that a shard's run, or one holder less of it, holds a lease for it."""
    lease = DestinationLease
    of_run = or_(col(Shard.shard_count) == 1, is_held_by_run(col(Shard.flow_run_id)))
    its = [col(lease.request_id) == col(Shard.request_id), of_run, col(lease.expires_at) > moment]
    return exists().where(*its, *([] if but_by is None else [col(lease.holder) != but_by]))


def has_other_writer(session: Session, shard: Shard, *, holder: str) -> bool:
    """Tell whether another living writer than a holder has a lease for a shard."""
    it = (col(Shard.request_id) == shard.request_id, col(Shard.number) == shard.number)
    written = select(col(Shard.number)).where(*it, is_written_for(now(session), but_by=holder))
    return session.scalar(written) is not None


def show_run(row: StagingRequestRow, shards: Sequence[Shard]) -> None:
    """Have a request show the run of its first open shard, or of its last, and how many died over it."""
    if shards:
        shown = next((shard for shard in shards if not shard.status.is_final), shards[-1])
        for name in SHOWN:
            setattr(row, name, getattr(shown, name))
        row.crashes = sum(shard.crashes for shard in shards)


def show_claims(session: Session, shards: Collection[Shard | Row[Any]], **values: object) -> None:
    """Have requests show what is new of their shards, as ``show_run`` does: these values of the shards' columns."""
    whole = [shard.request_id for shard in shards if shard.shard_count == 1]
    session.execute(update(REQUEST).where(REQUEST.c.id.in_(whole)).values(values))
    cut = {shard.request_id for shard in shards if shard.shard_count > 1}
    every = shards_in(session, cut, locked=False)
    for row in session.scalars(select(StagingRequestRow).where(col(StagingRequestRow.id).in_(cut))).all():
        show_run(row, every[row.id])
