"""What the records know of why a request stands where it stands, and of how long it may take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.errors import StagingError
from stager.models import Status
from stager.records.database import Database, now
from stager.records.events import note_event
from stager.records.tables import OPEN, Event, StagedFile, StagingRequestRow

# Requests that the pace is measured on: the last ones that were completed.
MEASURED = 50


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What a request of the past took, in seconds, and brought."""

    waited: float
    worked: float
    items: int
    bytes_done: int


@dataclass(frozen=True, kw_only=True)
class Remainder:
    """What is left of a request; its bytes are None where a size is not known yet."""

    items: int
    size_bytes: int | None


class Wait(NamedTuple):
    """Why a request does not go on just now: in a word, and in a sentence."""

    cause: str
    detail: str


def wait_for(error: StagingError) -> Wait:
    """Return an error as what is waited for."""
    return Wait(type(error).__name__, error.message)


def note_waits(database: Database, waits: Mapping[str, Wait], *, kind: str, seconds: float | None = None) -> None:
    """Write down why requests, by their ids, do not go on just now.

    Parameters
    ----------
    kind
        ``retrying``: an error is behind them; ``waiting``: for what another request holds; ``waited``: no more.
    seconds
        When they go on, from now; None when nobody knows.
    """

    def work(session: Session) -> None:
        until = None if seconds is None else now(session) + timedelta(seconds=seconds)
        for request_id, wait in waits.items():
            note_event(session, request_id, kind=kind, detail=wait.detail, cause=wait.cause, until=until)

    database.write(work)


def last_events(database: Database, request_ids: Sequence[str]) -> dict[str, Event]:
    """Return the newest event of each request that says why it stands as it does, by the requests' ids.

    A release says nothing of that.
    """
    which = (col(Event.request_id).in_(request_ids), col(Event.kind) != "released")
    newest = select(func.max(col(Event.id))).where(*which).group_by(col(Event.request_id))

    def work(session: Session) -> dict[str, Event]:
        ids = session.scalars(newest).all()
        return {event.request_id: event for event in session.scalars(select(Event).where(col(Event.id).in_(ids)))}

    return database.read(work)


def remainder_of(database: Database, request_id: str) -> Remainder:
    """Return what is left of a request: its open items, and their bytes."""
    file = StagedFile
    size = func.coalesce(col(file.size_bytes), col(file.expected_size_bytes))
    sums = select(func.count(), func.count(size), func.sum(size - col(file.bytes_done)))
    statement = sums.where(col(file.request_id) == request_id, col(file.status).in_(OPEN))

    def work(session: Session) -> Remainder:
        items, known, size_bytes = session.execute(statement).one()
        return Remainder(items=items, size_bytes=int(size_bytes or 0) if known == items else None)

    return database.read(work)


def samples(database: Database, method: str) -> list[Sample]:
    """Return what the last requests that a method completed took."""
    row = StagingRequestRow
    done = (col(row.method) == method, col(row.status) == Status.COMPLETED, col(row.started_at).is_not(None))
    statement = select(row).where(*done).order_by(col(row.finished_at).desc()).limit(MEASURED)
    rows = database.read(lambda session: session.scalars(statement).all())
    return [sample for row in rows if (sample := _sample(row))]


def _sample(row: StagingRequestRow) -> Sample | None:
    if row.started_at is None or row.finished_at is None:
        return None
    return Sample(
        waited=max(0.0, (row.started_at - row.created_at).total_seconds()),
        worked=max(1e-3, (row.finished_at - row.started_at).total_seconds()),
        items=row.item_count,
        bytes_done=row.bytes_done,
    )
