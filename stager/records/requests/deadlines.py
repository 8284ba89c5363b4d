"""Cancellation of requests whose deadline has passed."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.errors import DeadlinePassed
from stager.records.database import Database, now
from stager.records.requests.cancellation import stop_request
from stager.records.requests.ending import stop_in
from stager.records.tables import OPEN, StagingRequestRow

# Requests in one transaction.
REQUESTS_AT_ONCE = 500


def stop_overdue_requests(database: Database) -> Sequence[StagingRequestRow]:
    """Cancel the open requests whose deadline has passed, and return their records.

    As when somebody cancels them: one that no run has begun ends at once, else
    its run ends it. Some hundred are stopped at a time, each by itself.
    """
    row = StagingRequestRow

    def overdue(session: Session) -> Sequence[str]:
        is_going = (col(row.status).in_(OPEN), ~col(row.cancel_requested), ~col(row.is_arriving))
        late = (*is_going, col(row.deadline) <= now(session))
        return session.scalars(select(col(row.id)).where(*late).limit(REQUESTS_AT_ONCE)).all()

    return [stop_request(database, request_id, _stop) for request_id in database.read(overdue)]


def _stop(session: Session, row: StagingRequestRow) -> None:
    if row.deadline is not None:
        error = DeadlinePassed(row.deadline)
        stop_in(session, row, error, why=error.message)
