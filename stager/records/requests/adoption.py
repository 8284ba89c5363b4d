"""Adoption: what a version before shards wrote beside this one, or after a rollback, is taken over into shards.

This version writes a request's run wherever it writes its shard's, so that a
version before finds it. Where the two differ, such a version wrote.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.records.database import Database, chunks
from stager.records.downloads import DIRECT_DOWNLOAD
from stager.records.shards import SHOWN, insert_shards, one_piece, shards_in
from stager.records.tables import OPEN, Shard, StagingRequestRow

# Requests that are looked for at a time.
REQUESTS_AT_ONCE = 1000
# What a shard has of a request that has one.
_SAME = ("status", "crashes", *SHOWN)


def adopt_requests(database: Database, request_ids: Collection[str] | None = None) -> int:
    """Bring shards up to what a version before them wrote of some requests, or of a thousand; return how many it was.

    A request that has none gets one. One of several shards has nothing to
    take over but that it ended.
    """
    row, shard = StagingRequestRow, Shard
    has_shard = exists().where(col(shard.request_id) == col(row.id))
    has_run = (col(row.status).in_(OPEN), ~col(row.is_arriving), col(row.method) != DIRECT_DOWNLOAD)
    lacking = select(col(row.id)).where(*has_run, ~has_shard)
    is_older = or_(col(row.status).not_in(OPEN), and_(col(shard.shard_count) == 1, _differ()))
    older = select(col(row.id)).join(shard, col(shard.request_id) == col(row.id))
    older = older.where(col(shard.status).in_(OPEN), is_older)

    def look(session: Session) -> set[str]:
        if request_ids is None:
            return {one for asked in (lacking, older) for one in session.scalars(asked.limit(REQUESTS_AT_ONCE))}
        pages = chunks(sorted(request_ids))
        asked = (some.where(col(row.id).in_(page)) for page in pages for some in (lacking, older))
        return {one for statement in asked for one in session.scalars(statement)}

    def work(session: Session) -> None:
        for some in chunks(found):
            rows = session.scalars(select(row).where(col(row.id).in_(some)).order_by(col(row.id)).with_for_update())
            shards = shards_in(session, some)
            for one in rows:
                _adopt(session, one, shards[one.id])

    found = sorted(database.read(look))  # which keeps no writer waiting: there are hardly ever any
    if found:
        database.write(work)
    return len(found)


def _differ() -> ColumnElement[bool]:
    return or_(*(getattr(Shard, name).is_distinct_from(getattr(StagingRequestRow, name)) for name in _SAME))


def _adopt(session: Session, row: StagingRequestRow, shards: Sequence[Shard]) -> None:
    if not shards and not row.status.is_final:
        insert_shards(session, row, [one_piece(session, row)])
    for shard in shards:
        if shard.status.is_final:
            continue
        if shard.shard_count == 1:
            for name in _SAME:
                setattr(shard, name, getattr(row, name))
        if row.status.is_final:
            shard.status, shard.error_reason, shard.finished_at = row.status, row.error_reason, row.finished_at
