"""The records behind an estimate of how long a request may take."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.models import Status
from stager.records.database import Database
from stager.records.database.sums import sum_of
from stager.records.tables import OPEN, StagedFile, StagingRequestRow

# How many of the last completed requests are measured.
MAX_SAMPLES = 50


@dataclass(frozen=True, kw_only=True)
class Sample:
    """How long a past request took, in seconds, and what it delivered."""

    waited: float
    worked: float
    items: int
    bytes_done: int


@dataclass(frozen=True, kw_only=True)
class Remainder:
    """What is left of a request; its bytes are None if a size is not known yet."""

    items: int
    size_bytes: int | None


def remainder_of(database: Database, request_id: str) -> Remainder:
    """Return what is left of a request: its open items, and their bytes."""
    file = StagedFile
    size = func.coalesce(col(file.size_bytes), col(file.expected_size_bytes))
    sums = select(func.count(), func.count(size), sum_of(size), sum_of(col(file.bytes_done)))
    statement = sums.where(col(file.request_id) == request_id, col(file.status).in_(OPEN))

    def work(session: Session) -> Remainder:
        items, known, size_bytes, bytes_done = session.execute(statement).one()
        left = max(0, int(size_bytes or 0) - int(bytes_done or 0))
        return Remainder(items=items, size_bytes=left if known == items else None)

    return database.read(work)


def under_expansion(database: Database, request_id: str) -> StagedFile | None:
    """Return the first item of a request whose source is being listed, to be expanded into many; None if none is."""
    file = StagedFile
    its = (col(file.request_id) == request_id, col(file.status) == Status.STARTED, col(file.expand).is_not(None))
    first = select(file).where(*its).order_by(col(file.position)).limit(1)
    return database.read(lambda session: session.scalars(first).first())


def samples(database: Database, method: str) -> list[Sample]:
    """Return how long the last completed requests of a method took."""
    row = StagingRequestRow
    done = (col(row.method) == method, col(row.status) == Status.COMPLETED, col(row.started_at).is_not(None))
    statement = select(row).where(*done).order_by(col(row.finished_at).desc()).limit(MAX_SAMPLES)
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
