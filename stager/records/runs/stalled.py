"""What has stalled, for the reconciler: requests that no run has begun, and shards and downloads without heartbeat."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, func, literal, or_, select, tuple_
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.models import Status
from stager.records.database import Database, now
from stager.records.downloads import DIRECT_DOWNLOAD
from stager.records.shards import is_written_for
from stager.records.tables import OPEN, Shard, StagingRequestRow

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


def unfinished_shards(
    database: Database, *, stale: float, after: Shard | None = None, limit: int = REQUESTS_AT_ONCE
) -> Sequence[Shard]:
    """Return a page of the shards that were handed over or begun, and have no current heartbeat.

    Ask Prefect what became of the run before closing one: it may still wait
    for a worker.

    Parameters
    ----------
    stale
        Only those that were handed over or begun this long ago, in seconds.
    after, limit
        As in ``waiting_requests``.
    """
    shard = Shard
    place = tuple_(col(shard.created_at), col(shard.request_id), col(shard.number))

    def work(session: Session) -> Sequence[Shard]:
        moment = now(session)
        last_sign = func.coalesce(col(shard.started_at), col(shard.flow_run_at), col(shard.created_at))
        silent = (
            col(shard.status).in_(OPEN),
            col(shard.flow_run_id).is_not(None),
            last_sign <= moment - timedelta(seconds=stale),
            or_(col(shard.alive_until).is_(None), col(shard.alive_until) <= moment),
            ~is_written_for(moment),
        )
        statement = select(shard).where(*silent).order_by(*place.clauses).limit(limit)
        if after is not None:
            last = tuple_(literal(after.created_at), literal(after.request_id), literal(after.number))
            statement = statement.where(place > last)
        return session.scalars(statement).all()

    return database.read(work)


def silent_downloads(
    database: Database, *, stale: float, after: StagingRequestRow | None = None, limit: int = REQUESTS_AT_ONCE
) -> Sequence[StagingRequestRow]:
    """Return a page of the downloads whose sender, which is no run, sends no current heartbeat.

    The parameters are those of ``unfinished_shards``.
    """
    row = StagingRequestRow

    def work(session: Session) -> Sequence[StagingRequestRow]:
        moment = now(session)
        silent = (
            col(row.status) == Status.STARTED,
            col(row.method) == DIRECT_DOWNLOAD,
            col(row.started_at) <= moment - timedelta(seconds=stale),
            or_(col(row.alive_until).is_(None), col(row.alive_until) <= moment),
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
