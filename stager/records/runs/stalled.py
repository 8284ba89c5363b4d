"""Stalled requests, for the reconciler: those that no run has begun, and those without heartbeat."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, exists, func, literal, or_, select, tuple_
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.models import Status
from stager.records.database import Database, now
from stager.records.tables import OPEN, DestinationLease, StagingRequestRow

# Requests in one page.
REQUESTS_AT_ONCE = 500


def waiting_requests(
    database: Database,
    *,
    method: str,
    older_than: float,
    after: StagingRequestRow | None = None,
    limit: int = REQUESTS_AT_ONCE,
) -> Sequence[StagingRequestRow]:
    """Return a page of a method's requests that no run has begun, oldest first.

    Parameters
    ----------
    older_than
        Only those that have waited this long, in seconds.
    after
        Only those behind this one, the previous page's last.
    limit
        How many at most.
    """
    row = StagingRequestRow

    def work(session: Session) -> Sequence[StagingRequestRow]:
        before = now(session) - timedelta(seconds=older_than)
        waits = (col(row.status) == Status.SUBMITTED, col(row.method) == method, col(row.created_at) <= before)
        return _page(session, *waits, after=after, limit=limit)

    return database.read(work)


def unfinished_requests(
    database: Database, *, stale: float, after: StagingRequestRow | None = None, limit: int = REQUESTS_AT_ONCE
) -> Sequence[StagingRequestRow]:
    """Return a page of the requests that were handed over or begun, and have no current heartbeat.

    Ask Prefect what became of the run before closing one: it may still wait
    for a worker. A download, which has no run, is begun and silent.

    Parameters
    ----------
    stale
        Only those that were handed over or begun this long ago, in seconds.
    after, limit
        As in ``waiting_requests``.
    """
    row, lease = StagingRequestRow, DestinationLease

    def work(session: Session) -> Sequence[StagingRequestRow]:
        moment = now(session)
        is_written = exists().where(col(lease.request_id) == col(row.id), col(lease.expires_at) > moment)
        last_sign = func.coalesce(col(row.started_at), col(row.flow_run_at), col(row.created_at))
        silent = (
            col(row.status).in_(OPEN),
            or_(col(row.flow_run_id).is_not(None), col(row.status) == Status.STARTED),
            last_sign <= moment - timedelta(seconds=stale),
            or_(col(row.alive_until).is_(None), col(row.alive_until) <= moment),
            ~is_written,
        )
        return _page(session, *silent, after=after, limit=limit)

    return database.read(work)


def _page(
    session: Session, *conditions: ColumnElement[bool], after: StagingRequestRow | None, limit: int
) -> Sequence[StagingRequestRow]:
    place = tuple_(col(StagingRequestRow.created_at), col(StagingRequestRow.id))
    statement = select(StagingRequestRow).where(*conditions).order_by(*place.clauses).limit(limit)
    if after is not None:
        statement = statement.where(place > tuple_(literal(after.created_at), literal(after.id)))
    return session.scalars(statement).all()
