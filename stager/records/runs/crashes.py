"""Shards whose run died: another run takes them up, a few times; `stager.dispatch.reconciler` sees which."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.errors import Cancelled, StagingError
from stager.models import Status
from stager.records.database import Database, now
from stager.records.events import note_event
from stager.records.requests.ending import end_shard_in
from stager.records.shards import items_of_shard, named, shards_in, show_run, take_leases_away
from stager.records.tables import OPEN, Event, Shard, StagedFile, StagingRequestRow

# A shard over which so many runs have died is closed as failed.
MAX_CRASHES = 3
# How long the same trouble of a run is not recorded again.
SAME_CAUSE_AGAIN_AFTER = timedelta(minutes=1)


def open_flow_runs(database: Database) -> Sequence[str]:
    """Return the ids of the flow runs that have shards which have not ended."""
    statement = select(col(Shard.flow_run_id)).where(col(Shard.status).in_(OPEN), col(Shard.flow_run_id).is_not(None))
    return database.read(lambda session: [run for run in session.scalars(statement.distinct()) if run])


def resubmit_requests(database: Database, flow_run_id: str, error: StagingError) -> Sequence[StagingRequestRow]:
    """Resubmit the open shards of a run that died, and return the records of their requests.

    Items that ended keep their ending. The leases are taken away, so that a
    run which lives after all cannot publish. A shard over which too many
    runs have died, or whose error no other run would mend, is closed with the
    error, one that was asked to cancel as cancelled; others of its request go on.
    """
    row, shard = StagingRequestRow, Shard
    its = select(col(shard.request_id)).where(col(shard.flow_run_id) == flow_run_id, col(shard.status).in_(OPEN))
    statement = select(row).where(col(row.id).in_(its), col(row.status).in_(OPEN)).order_by(col(row.id))

    def work(session: Session) -> Sequence[StagingRequestRow]:
        rows = session.scalars(statement.with_for_update()).all()
        shards = shards_in(session, [row.id for row in rows])
        for row in rows:
            for shard in shards[row.id]:
                if shard.flow_run_id == flow_run_id and not shard.status.is_final:
                    _take_up(session, row, shard, error)
            show_run(row, shards[row.id])
        return rows

    return database.write(work)


def note_trouble(database: Database, flow_run_id: str, *, cause: str, detail: str) -> None:
    """Record, for each open request of a run, what keeps the run from going on; once, until that changes.

    The same cause is told once a minute at most: troubles that take turns do not fill the record.

    Parameters
    ----------
    cause
        What it is, in a word.
    detail
        The same in a sentence.
    """
    row, event = StagingRequestRow, Event
    told = select(col(event.detail)).where(col(event.request_id) == col(row.id), col(event.kind) == "pod")
    last = told.order_by(col(event.id).desc()).limit(1).scalar_subquery()
    its = select(col(Shard.request_id)).where(col(Shard.flow_run_id) == flow_run_id, col(Shard.status).in_(OPEN))
    mine = (col(row.id).in_(its), col(row.status).in_(OPEN))

    def work(session: Session) -> None:
        lately = told.where(col(event.cause) == cause, col(event.at) > now(session) - SAME_CAUSE_AGAIN_AFTER)
        news = select(col(row.id)).where(*mine, last.is_distinct_from(detail), ~lately.exists())
        for request_id in session.scalars(news).all():
            note_event(session, request_id, kind="pod", detail=detail, cause=cause)

    database.write(work)


def _take_up(session: Session, row: StagingRequestRow, shard: Shard, error: StagingError) -> None:
    shard.crashes += 1
    if row.cancel_requested:
        end_shard_in(session, row, shard, Cancelled(error.message))
    elif shard.crashes >= MAX_CRASHES or not error.retryable:
        end_shard_in(session, row, shard, error)
    else:
        _submit_again(session, row, shard, error)


def _submit_again(session: Session, row: StagingRequestRow, shard: Shard, error: StagingError) -> None:
    take_leases_away(session, shard)
    shard.status = Status.SUBMITTED
    shard.run_key = shard.run_pool = shard.flow_run_id = shard.flow_run_at = shard.started_at = shard.alive_until = None
    session.execute(
        update(StagedFile)
        .where(*items_of_shard(shard), col(StagedFile.status) == Status.STARTED)
        .values(status=Status.SUBMITTED, bytes_done=0, files_done=0)
    )
    others = select(col(Shard.number)).where(
        col(Shard.request_id) == row.id, col(Shard.number) != shard.number, col(Shard.status) != Status.SUBMITTED
    )
    if session.scalar(others.limit(1)) is None:
        row.status = Status.SUBMITTED
    detail, cause = f"{named(shard)}{error.message}; it waits for another run", type(error).__name__
    note_event(session, row.id, kind="resubmitted", detail=detail, cause=cause)
