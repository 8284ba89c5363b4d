"""The records behind the metrics: how requests ended, and which are open."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Select, and_, exists, func, select
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.models import Status, hub_named
from stager.records.database import Database, now
from stager.records.tables import OPEN, Event, StagedFile, StagingRequestRow

# Rows that are held in memory at a time.
ROWS_AT_ONCE = 1000

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How one request ended.

    Attributes
    ----------
    hub
        The hub whose notebook servers it was for, if that is known; else empty.
    reason
        The kind of its items' errors, of several the first by name; empty where there is none.
    seconds
        From its being written down to its end.
    """

    method: str
    hub: str
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


@dataclass(frozen=True, kw_only=True)
class Starting:
    """The requests that wait for a notebook server of one hub to be started."""

    hub: str
    count: int
    oldest_seconds: float


def fold_endings(
    database: Database,
    fold: Callable[[Iterable[Ending]], T],
    *,
    methods: Sequence[str],
    to_hubs: Sequence[str],
    after: datetime | None,
    until: datetime | None,
) -> T:
    """Return what a function makes of the requests that ended between two moments.

    Parameters
    ----------
    fold
        Gets them one by one, in no order; called again when the database goes away.
    to_hubs
        Those of the methods that stage to a hub's notebook servers.
    """
    statement = _endings(methods, to_hubs)
    finished_at = col(StagingRequestRow.finished_at)
    if after:
        statement = statement.where(finished_at > after)
    if until:
        statement = statement.where(finished_at <= until)

    def work(session: Session) -> T:
        return fold(
            Ending(
                method=method,
                hub=hub_named(area) if has_hub else "",
                status=status,
                reason=reason or "",
                seconds=max((finished_at - created_at).total_seconds(), 0.0),
                bytes_done=bytes_done,
                files_done=files_done,
            )
            for (
                method,
                area,
                has_hub,
                status,
                reason,
                created_at,
                finished_at,
                bytes_done,
                files_done,
            ) in session.execute(statement)
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


def starting(database: Database, *, to_hubs: Sequence[str]) -> Sequence[Starting]:
    """Return the requests that wait for a start now, by hub; the parameters are those of `fold_endings`."""
    row = StagingRequestRow
    of_it = col(Event.request_id) == row.id
    another = select(func.coalesce(func.max(col(Event.id)), 0)).where(of_it, col(Event.kind) != "starting")
    since = select(func.min(col(Event.at))).where(of_it, col(Event.id) > another.correlate(row).scalar_subquery())
    waits = select(col(row.destination_area), since.correlate(row).scalar_subquery()).where(
        col(row.status) == Status.STARTED, col(row.method).in_(to_hubs)
    )

    def work(session: Session) -> Sequence[Starting]:
        moment, ages = now(session), defaultdict(list)
        for area, began in session.execute(waits):
            if began is not None:
                ages[hub_named(area)].append(max((moment - began).total_seconds(), 0.0))
        return [Starting(hub=hub, count=len(some), oldest_seconds=max(some)) for hub, some in sorted(ages.items())]

    return database.read(work)


def _endings(methods: Sequence[str], to_hubs: Sequence[str]) -> Select[Any]:
    row, file = StagingRequestRow, StagedFile
    # Whoever asks may name a hub as they like: it is one where its run has found an item's address there.
    has_hub = and_(
        col(row.method).in_(to_hubs), exists().where(col(file.request_id) == row.id, col(file.link).is_not(None))
    )
    reason = select(func.min(col(file.error_type))).where(col(file.request_id) == row.id).scalar_subquery()
    columns = col(row.created_at), col(row.finished_at), col(row.bytes_done), col(row.files_done)
    ended = [status for status in Status if status not in OPEN]
    return (
        select(col(row.method), col(row.destination_area), has_hub, col(row.status), reason, *columns)
        .where(col(row.method).in_(methods), col(row.status).in_(ended))  # by the index of both and the time
        .execution_options(yield_per=ROWS_AT_ONCE)
    )
