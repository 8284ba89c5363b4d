"""Requests whose run died: another run takes them up, a few times; `stager.dispatch.reconciler` sees which."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.errors import Cancelled, StagingError
from stager.models import Status
from stager.records.database import Database, now
from stager.records.events import note_event
from stager.records.requests.lifecycle import end_in
from stager.records.tables import OPEN, DestinationLease, Event, StagedFile, StagingRequestRow

# A request over which so many runs have died is closed as failed.
MAX_CRASHES = 3
# How long the same trouble of a run is not recorded again.
SAME_CAUSE_AGAIN_AFTER = timedelta(minutes=1)


def open_flow_runs(database: Database) -> Sequence[str]:
    """Return the ids of the flow runs that have requests which have not ended."""
    row = StagingRequestRow
    statement = select(col(row.flow_run_id)).where(col(row.status).in_(OPEN), col(row.flow_run_id).is_not(None))
    return database.read(lambda session: [run for run in session.scalars(statement.distinct()) if run])


def resubmit_requests(database: Database, flow_run_id: str, error: StagingError) -> Sequence[StagingRequestRow]:
    """Resubmit the open requests of a run that died, and return their records.

    Items that ended keep their ending. The leases are taken away, so that a
    run which lives after all cannot publish. A request over which too many
    runs have died, or whose error no other run would mend, is closed with the
    error, one that was asked to cancel as cancelled.
    """
    row = StagingRequestRow
    statement = select(row).where(col(row.flow_run_id) == flow_run_id, col(row.status).in_(OPEN)).order_by(col(row.id))

    def work(session: Session) -> Sequence[StagingRequestRow]:
        rows = session.scalars(statement.with_for_update()).all()
        for row in rows:
            row.crashes += 1
            if row.cancel_requested:
                end_in(session, row, Cancelled(error.message))
            elif row.crashes >= MAX_CRASHES or not error.retryable:
                end_in(session, row, error)
            else:
                _submit_again(session, row, error)
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
    mine = (col(row.flow_run_id) == flow_run_id, col(row.status).in_(OPEN))

    def work(session: Session) -> None:
        lately = told.where(col(event.cause) == cause, col(event.at) > now(session) - SAME_CAUSE_AGAIN_AFTER)
        news = select(col(row.id)).where(*mine, last.is_distinct_from(detail), ~lately.exists())
        for request_id in session.scalars(news).all():
            note_event(session, request_id, kind="pod", detail=detail, cause=cause)

    database.write(work)


def _submit_again(session: Session, row: StagingRequestRow, error: StagingError) -> None:
    file, lease = StagedFile, DestinationLease
    row.status = Status.SUBMITTED
    row.run_key = row.flow_run_id = row.flow_run_at = row.alive_until = None
    session.execute(
        update(file)
        .where(col(file.request_id) == row.id, col(file.status) == Status.STARTED)
        .values(status=Status.SUBMITTED, bytes_done=0, files_done=0)
    )
    session.execute(delete(lease).where(col(lease.request_id) == row.id))
    detail, cause = f"{error.message}; it waits for another run", type(error).__name__
    note_event(session, row.id, kind="resubmitted", detail=detail, cause=cause)
