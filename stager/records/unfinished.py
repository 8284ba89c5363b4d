"""What a reconciler looks for: requests that wait, and requests whose run is silent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.models import Status
from stager.records.database import Database, now
from stager.records.tables import OPEN, DestinationLease, StagingRequestRow


def waiting_requests(database: Database, *, older_than: float, limit: int = 1000) -> Sequence[StagingRequestRow]:
    """Return requests that no flow run was found for, the oldest first.

    Parameters
    ----------
    older_than
        Only those that have waited this long, in seconds.
    """
    row = StagingRequestRow

    def work(session: Session) -> Sequence[StagingRequestRow]:
        before = now(session) - timedelta(seconds=older_than)
        statement = select(row).where(
            col(row.status) == Status.SUBMITTED, col(row.flow_run_id).is_(None), col(row.created_at) <= before
        )
        return session.scalars(statement.order_by(col(row.created_at)).limit(limit)).all()

    return database.read(work)


def unfinished_requests(database: Database, *, stale: float, limit: int = 1000) -> Sequence[StagingRequestRow]:
    """Return requests that have a flow run and no living lease, the oldest first.

    Ask Prefect what became of the run before closing one: it may still wait
    for a worker, or be between two steps.

    Parameters
    ----------
    stale
        Only those whose run was asked for or begun this long ago, in seconds.
    """
    row, lease = StagingRequestRow, DestinationLease

    def work(session: Session) -> Sequence[StagingRequestRow]:
        moment = now(session)
        alive = exists().where(col(lease.request_id) == col(row.id), col(lease.expires_at) > moment)
        last_sign = func.coalesce(col(row.started_at), col(row.flow_run_at), col(row.created_at))
        statement = select(row).where(
            col(row.status).in_(OPEN),
            col(row.flow_run_id).is_not(None),
            last_sign <= moment - timedelta(seconds=stale),
            ~alive,
        )
        return session.scalars(statement.order_by(col(row.created_at)).limit(limit)).all()

    return database.read(work)
