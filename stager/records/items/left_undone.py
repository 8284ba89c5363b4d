"""What of a request's deliveries could not be done, although its method does it elsewhere."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import func, select
from sqlmodel import col

from stager.records.database import Database
from stager.records.tables import StagedFile


class LeftUndone(NamedTuple):
    """Whether something that was delivered could not be made read-only, and whether of something only sizes count."""

    is_writable: bool
    is_unverified: bool


def left_undone(database: Database, request_id: str) -> LeftUndone:
    """Return what was left undone of what a request delivered."""
    file = StagedFile
    counts = select(func.count(col(file.left_writable)), func.count(col(file.left_unverified)))
    asked = counts.where(col(file.request_id) == request_id)
    return database.read(lambda session: LeftUndone(*map(bool, session.execute(asked).one())))
