"""Lookup of requests, by id and in pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, literal, select, tuple_
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.errors import RequestNotFound
from stager.models import Status
from stager.records.database import Database
from stager.records.tables import OPEN, REQUEST, StagingRequestRow

# This statement runs before every request is recorded: it is built once.
_NTH_OPEN = (
    select(REQUEST.c.id)
    .where(REQUEST.c.username == bindparam("username"), REQUEST.c.status.in_(OPEN))
    .offset(bindparam("others"))
    .limit(1)
)


@dataclass(frozen=True, kw_only=True)
class RequestsPage:
    """Some requests, newest first, and the cursor of the next ones."""

    requests: Sequence[StagingRequestRow]
    next_cursor: str | None


def get_request(database: Database, request_id: str) -> StagingRequestRow:
    """Return a request's record.

    Raises
    ------
    RequestNotFound
        There is none of that id.
    """
    return database.read(lambda session: request_in(session, request_id))


def get_requests(database: Database, request_ids: Sequence[str]) -> list[StagingRequestRow]:
    """Return the records of some requests, in that order.

    Raises
    ------
    RequestNotFound
        There is none of an id.
    """
    row = StagingRequestRow

    def work(session: Session) -> list[StagingRequestRow]:
        session.scalars(select(row).where(col(row.id).in_(request_ids))).all()
        return [request_in(session, request_id) for request_id in request_ids]

    return database.read(work)


def list_requests(
    database: Database,
    *,
    username: str | None = None,
    method: str | None = None,
    statuses: Sequence[Status] = (),
    since: datetime | None = None,
    cursor: str | None = None,
    limit: int = 100,
) -> RequestsPage:
    """Return a page of the requests that fit, newest first.

    Parameters
    ----------
    statuses
        Only those that stand in one of these ways; by default in any.
    since
        Only those created at this moment or later.
    cursor
        The previous page's ``next_cursor``. Pages neither repeat nor miss a
        request that was there when the first was asked for.
    limit
        How many at most.

    Raises
    ------
    RequestNotFound
        The cursor is of no request.
    """
    place = tuple_(col(StagingRequestRow.created_at), col(StagingRequestRow.id))
    wanted = {StagingRequestRow.username: username, StagingRequestRow.method: method}
    is_whole = ~col(StagingRequestRow.is_arriving)
    fits = (col(name) == value for name, value in wanted.items() if value)
    statement = select(StagingRequestRow).where(is_whole, *fits)
    if statuses:
        statement = statement.where(col(StagingRequestRow.status).in_(statuses))
    if since:
        statement = statement.where(col(StagingRequestRow.created_at) >= since)

    def work(session: Session) -> RequestsPage:
        found = statement
        if cursor:
            last = request_in(session, cursor)
            found = found.where(place < tuple_(literal(last.created_at), literal(last.id)))
        rows = session.scalars(
            found.order_by(col(StagingRequestRow.created_at).desc(), col(StagingRequestRow.id).desc()).limit(limit + 1)
        ).all()
        return RequestsPage(requests=rows[:limit], next_cursor=rows[limit - 1].id if len(rows) > limit else None)

    return database.read(work)


def has_open_requests(database: Database, username: str, *, count: int) -> bool:
    """Return whether a user has at least so many requests that have not ended."""
    values = {"username": username, "others": count - 1}
    return database.read(lambda session: session.connection().execute(_NTH_OPEN, values).first() is not None)


def request_in(session: Session, request_id: str, *, locked: bool = False) -> StagingRequestRow:
    """Return a request's record in a transaction; if locked, until the end of that."""
    row = session.get(StagingRequestRow, request_id, with_for_update=locked or None)
    if row is None or row.is_arriving:
        raise RequestNotFound(request_id)
    return row
