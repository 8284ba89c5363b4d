"""The records behind live streams: new events of all requests, and the progress of requests."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.models import Status
from stager.records.database import Database, now
from stager.records.database.sums import sum_of
from stager.records.tables import Event, StagedFile, StagingRequestRow

# How long an event may have its number before other transactions see it,
# in seconds. Numbers are assigned when a row is inserted, not when it is
# committed: on MariaDB, a lower number may become visible after a higher one.
SETTLED_SECONDS = 2.0
# How many of the newest events are searched for one that has settled.
RECENT_EVENTS = 200
# Requests of which a stream of all requests reports the progress.
MAX_STARTED = 200


@dataclass(frozen=True, kw_only=True)
class LiveEvent:
    """An event, and the user of its request."""

    event: Event
    username: str


@dataclass(frozen=True, kw_only=True)
class RequestProgress:
    """The progress of a request; its size is None if an item's is not known yet."""

    request_id: str
    username: str
    item_count: int
    items_ended: int
    bytes_done: int
    files_done: int
    size_bytes: int | None


def settled_position(database: Database) -> int:
    """Return the number of an event below which no other becomes visible any more; 0 without events."""
    newest = select(col(Event.id), col(Event.at)).order_by(col(Event.id).desc()).limit(RECENT_EVENTS)

    def work(session: Session) -> int:
        before = now(session) - timedelta(seconds=SETTLED_SECONDS)
        rows = session.execute(newest).all()
        settled = (number for number, at in rows if at <= before)
        return next(settled, rows[-1][0] if len(rows) == RECENT_EVENTS else 0)

    return database.read(work)


def settled_events(database: Database, after: int, *, limit: int) -> list[LiveEvent]:
    """Return the events after a number in order, up to where a lower number may still become visible."""

    def work(session: Session) -> list[LiveEvent]:
        before = now(session) - timedelta(seconds=SETTLED_SECONDS)
        found: list[LiveEvent] = []
        last = after
        for one in _events(session, after=after, limit=limit):
            if one.event.id != last + 1 and one.event.at > before:
                break
            last = one.event.id
            found.append(one)
        return found

    return database.read(work)


def missed_events(
    database: Database, *, after: int, upto: int, limit: int, request_id: str | None, username: str | None
) -> list[LiveEvent]:
    """Return events between two numbers, the upper one included, of one request or of one user's, in pages."""
    wanted: list[ColumnElement[bool]] = [col(Event.id) <= upto]
    if request_id is not None:
        wanted.append(col(Event.request_id) == request_id)
    if username is not None:
        wanted.append(col(StagingRequestRow.username) == username)
    return database.read(lambda session: _events(session, *wanted, after=after, limit=limit))


def started_requests(database: Database, username: str | None) -> Sequence[str]:
    """Return the ids of the newest requests that runs work on, of one user or of all."""
    row = StagingRequestRow
    statement = select(col(row.id)).where(col(row.status) == Status.STARTED)
    if username is not None:
        statement = statement.where(col(row.username) == username)
    newest = statement.order_by(col(row.created_at).desc()).limit(MAX_STARTED)
    return database.read(lambda session: session.scalars(newest).all())


def progress_of(database: Database, request_ids: Collection[str]) -> list[RequestProgress]:
    """Return the progress of some requests."""
    file, row = StagedFile, StagingRequestRow
    size = func.coalesce(col(file.size_bytes), col(file.expected_size_bytes))
    sums = [
        func.count(),
        func.count(col(file.finished_at)),
        sum_of(col(file.bytes_done)),
        sum_of(col(file.files_done)),
        func.count(size),
        sum_of(size),
    ]
    joined = select(col(row.id), col(row.username), *sums).join(file, col(file.request_id) == col(row.id))
    statement = joined.where(col(row.id).in_(request_ids)).group_by(col(row.id), col(row.username))
    return database.read(lambda session: [_progress(i, name, *sums) for i, name, *sums in session.execute(statement)])


def _progress(request_id: str, username: str, *sums: int) -> RequestProgress:
    items, ended, bytes_done, files_done, known, size_bytes = sums
    return RequestProgress(
        request_id=request_id,
        username=username,
        item_count=items,
        items_ended=ended,
        bytes_done=int(bytes_done),
        files_done=int(files_done),
        size_bytes=int(size_bytes) if known == items else None,
    )


def _events(session: Session, *wanted: ColumnElement[bool], after: int, limit: int) -> list[LiveEvent]:
    row = StagingRequestRow
    joined = select(Event, col(row.username)).join(row, col(row.id) == col(Event.request_id))
    statement = joined.where(col(Event.id) > after, *wanted).order_by(col(Event.id)).limit(limit)
    return [LiveEvent(event=event, username=username) for event, username in session.execute(statement)]
