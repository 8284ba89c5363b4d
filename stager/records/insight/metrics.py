"""The records behind the metrics: how requests ended, and which are open."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.models import Status
from stager.records.database import Database, now
from stager.records.tables import OPEN, StagedFile, StagingRequestRow

# Rows that are held in memory at a time.
ROWS_AT_ONCE = 1000

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How one request ended.

    Attributes
    ----------
    reason
        The kind of its items' errors, of several the first by name; empty where there is none.
    seconds
        From its being written down to its end.
    """

    method: str
    status: Status
    reason: str
    seconds: float
    bytes_done: int
    files_done: int


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """The open requests of one method with the same status."""

    method: str
    status: Status
    count: int
    oldest_seconds: float


def fold_endings(
    database: Database,
    fold: Callable[[Iterable[Ending]], T],
    *,
    methods: Sequence[str],
    after: datetime | None,
    until: datetime | None,
) -> T:
    """Return what a function makes of the requests that ended between two moments.

    Parameters
    ----------
    fold
        Gets them one by one, in no order; called again when the database goes away.
    """
    statement = _endings(methods)
    finished_at = col(StagingRequestRow.finished_at)
    if after:
        statement = statement.where(finished_at > after)
    if until:
        statement = statement.where(finished_at <= until)

    def work(session: Session) -> T:
        return fold(
            Ending(
                method=method,
                status=status,
                reason=reason or "",
                seconds=max((finished_at - created_at).total_seconds(), 0.0),
                bytes_done=bytes_done,
                files_done=files_done,
            )
            for method, status, reason, created_at, finished_at, bytes_done, files_done in session.execute(statement)
        )

    return database.read(work)


def backlogs(database: Database) -> Sequence[Backlog]:
    """Return the open requests, by method and status."""
    row = StagingRequestRow
    kinds = col(row.method), col(row.status)
    there = (col(row.status).in_(OPEN), ~col(row.is_arriving))
    statement = select(*kinds, func.count(), func.min(col(row.created_at))).where(*there)

    def work(session: Session) -> Sequence[Backlog]:
        moment = now(session)
        return [
            Backlog(
                method=method, status=status, count=count, oldest_seconds=max((moment - oldest).total_seconds(), 0.0)
            )
            for method, status, count, oldest in session.execute(statement.group_by(*kinds))
        ]

    return database.read(work)


def _endings(methods: Sequence[str]) -> Select[Any]:
    row, file = StagingRequestRow, StagedFile
    reason = select(func.min(col(file.error_type))).where(col(file.request_id) == row.id).scalar_subquery()
    columns = col(row.created_at), col(row.finished_at), col(row.bytes_done), col(row.files_done)
    ended = [status for status in Status if status not in OPEN]
    return (
        select(col(row.method), col(row.status), reason, *columns)
        .where(col(row.method).in_(methods), col(row.status).in_(ended))  # by the index of both and the time
        .execution_options(yield_per=ROWS_AT_ONCE)
    )
