"""The load of requests, by their records: it decides in which work pool they run."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.records.tables import StagedFile


@dataclass(frozen=True, kw_only=True)
class Load:
    """The load of a request: its items and bytes.

    Attributes
    ----------
    items
        How many files and directories.
    size_bytes
        Their sizes together, as far as the request says them.
    """

    items: int
    size_bytes: int

    def is_over(self, *, items: int, size_bytes: int) -> bool:
        """Return whether the load reaches either limit."""
        return self.items >= items or self.size_bytes >= size_bytes


def loads_in(session: Session, request_ids: Collection[str]) -> dict[str, Load]:
    """Return the loads of some requests by their ids, within a transaction."""
    file = StagedFile
    sizes = func.coalesce(func.sum(col(file.expected_size_bytes)), 0)
    statement = (
        select(col(file.request_id), func.count(), sizes)
        .where(col(file.request_id).in_(request_ids))
        .group_by(col(file.request_id))
    )
    return {row: Load(items=items, size_bytes=int(size or 0)) for row, items, size in session.execute(statement)}
