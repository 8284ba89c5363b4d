"""Requests under way: the heartbeat of their runs and downloads, and which of them are to be stopped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import exists, or_, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.errors import Cancelled
from stager.records.database import Database, now
from stager.records.requests.ending import why_stopped
from stager.records.shards import is_of_run
from stager.records.tables import OPEN, Shard, StagedFile, StagingRequestRow


def renew_requests(
    database: Database, request_ids: Sequence[str], *, seconds: float, flow_run_id: str | None = None
) -> None:
    """Record a heartbeat, after which a run counts as alive for so long; 0 when it leaves its requests.

    Parameters
    ----------
    flow_run_id
        The run, which a request of several shards needs to know.
    """
    row, shard = StagingRequestRow, Shard
    mine = update(row).where(col(row.id).in_(request_ids), col(row.status).in_(OPEN))
    its = (col(shard.request_id).in_(request_ids), col(shard.status).in_(OPEN), is_of_run(flow_run_id))

    def work(session: Session) -> None:
        until = now(session) + timedelta(seconds=seconds)
        session.execute(mine.values(alive_until=until))
        session.execute(update(shard).where(*its).values(alive_until=until))

    database.write(work)


def requests_to_stop(database: Database, request_ids: Sequence[str], *, flow_run_id: str) -> dict[str, Cancelled]:
    """Return the requests that a run is to leave, and why: cancelled, ended, or given to another run."""
    row, shard = StagingRequestRow, Shard
    its = (col(shard.request_id) == col(row.id), col(shard.flow_run_id) == flow_run_id, col(shard.status).in_(OPEN))
    leave = or_(col(row.cancel_requested), col(row.status).not_in(OPEN), ~exists().where(*its))
    statement = select(row).where(col(row.id).in_(request_ids), leave)

    def work(session: Session) -> dict[str, Cancelled]:
        return {row.id: why_stopped(row, now(session)) for row in session.scalars(statement)}

    return database.read(work)


def files_to_stop(database: Database, file_ids: Sequence[int]) -> Sequence[int]:
    """Return the items whose cancellation was asked for."""
    file = StagedFile
    statement = select(col(file.id)).where(col(file.id).in_(file_ids), col(file.cancel_requested))
    return database.read(lambda session: session.scalars(statement).all())
