"""The lifecycle of requests: they are started and closed, and never opened again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.errors import Cancelled, DeadlinePassed, RunLost, StagingError
from stager.models import Status
from stager.records.database import Database, now
from stager.records.events import note_event
from stager.records.leases import has_other_writer
from stager.records.request_secrets import forget_secret
from stager.records.requests.lookup import request_in
from stager.records.tables import OPEN, DestinationLease, StagedFile, StagingRequestRow

# Reasons of items that a request's own reason names.
MAX_REASONS = 3
UNFINISHED = "the run ended before this was done"


def start_requests(
    database: Database, request_ids: Sequence[str], *, flow_run_id: str | None, acting_as: str
) -> list[StagingRequestRow]:
    """Record that a run has begun some requests, and return their records in that order.

    Their items are begun as the run comes to them: a million at once would
    keep every other writer waiting.

    One that has ended already stays as it is: look at its status. A run that
    was begun twice, or begun again by another run, goes on.

    Parameters
    ----------
    flow_run_id
        The run that does them; its ending is what a reconciler goes by.
    acting_as
        The account that the files are written as, in words.

    Raises
    ------
    RequestNotFound
        There is none of that id; then none is started.
    """

    def work(session: Session) -> list[StagingRequestRow]:
        rows = {i: request_in(session, i, locked=True) for i in sorted(set(request_ids))}
        for row in rows.values():
            if not row.status.is_final:
                _start(session, row, flow_run_id=flow_run_id, acting_as=acting_as)
        return [rows[request_id] for request_id in request_ids]

    return database.write(work)


def close_requests(
    database: Database,
    request_ids: Collection[str],
    *,
    holder: str | None = None,
    flow_run_id: str | None = None,
    cancelled: Collection[str] = (),
) -> list[StagingRequestRow]:
    """Close requests by how their items ended, in one transaction, and return their records in the order of the ids.

    ``completed`` when every item is completed or skipped, ``skipped`` when all
    are skipped, ``cancelled`` when some were cancelled, else ``failed``, with
    a reason that counts and names. What is still open is closed with it. One
    that has ended stays as it ended.

    Parameters
    ----------
    holder
        Who closes them; one that another living writer has leases for is left open for that one.
    flow_run_id
        The run that closes them; what another run has is left to that one.
    cancelled
        The ids of those that somebody asked to stop: what is still open of them was cancelled.

    Raises
    ------
    RequestNotFound
        There is none of such an id; then none is closed.
    """

    def work(session: Session) -> list[StagingRequestRow]:
        rows = [request_in(session, request_id, locked=True) for request_id in sorted(request_ids)]
        for row in rows:
            if not row.status.is_final and not _is_others(session, row, holder=holder, flow_run_id=flow_run_id):
                stopped = row.id in cancelled
                end_in(session, row, why_stopped(row, now(session)) if stopped else RunLost(UNFINISHED))
        return rows

    return database.write(work)


def fail_request(
    database: Database, request_id: str, error: StagingError, *, flow_run_id: str | None = None
) -> StagingRequestRow:
    """Close a request as failed, and return its record.

    What is still open ends with that error: `Cancelled` makes it
    ``cancelled``, any other ``failed``. Items that ended keep their ending.
    Its leases are taken away, so a run that lives after all cannot publish.
    One that has ended stays as it ended.

    Parameters
    ----------
    flow_run_id
        As in ``close_requests``.

    Raises
    ------
    RequestNotFound
        There is none of that id.
    """

    def work(session: Session) -> StagingRequestRow:
        row = request_in(session, request_id, locked=True)
        if not row.status.is_final and not _is_of_another(row, flow_run_id):
            end_in(session, row, error)
        return row

    return database.write(work)


def why_stopped(row: StagingRequestRow, moment: datetime) -> Cancelled:
    """Return why a request is to be stopped: its deadline has passed, or it was cancelled."""
    return DeadlinePassed(row.deadline) if row.deadline and row.deadline <= moment else Cancelled()


def _start(session: Session, row: StagingRequestRow, *, flow_run_id: str | None, acting_as: str) -> None:
    if row.status is Status.STARTED and row.flow_run_id == flow_run_id:
        return
    again = "again " if row.status is Status.STARTED else ""
    note_event(session, row.id, kind="started", detail=f"started {again}by flow run {flow_run_id} as {acting_as}")
    moment = now(session)
    row.status, row.acting_as, row.started_at = Status.STARTED, acting_as, row.started_at or moment
    if row.flow_run_id != flow_run_id:
        row.flow_run_id, row.flow_run_at = flow_run_id, moment


def _is_of_another(row: StagingRequestRow, flow_run_id: str | None) -> bool:
    return flow_run_id is not None and row.flow_run_id != flow_run_id


def _is_others(session: Session, row: StagingRequestRow, *, holder: str | None, flow_run_id: str | None) -> bool:
    return _is_of_another(row, flow_run_id) or (holder is not None and has_other_writer(session, row.id, holder=holder))


def _end_open_files(session: Session, request_id: str, error: StagingError) -> None:
    file = StagedFile
    session.execute(
        update(file)
        .where(col(file.request_id) == request_id, col(file.status).in_(OPEN))
        .values(
            status=Status.CANCELLED if isinstance(error, Cancelled) else Status.FAILED,
            error_reason=error.message,
            error_type=type(error).__name__,
            finished_at=now(session),
        )
    )


def end_in(session: Session, row: StagingRequestRow, error: StagingError) -> None:
    """End the open items with an error, end the request by its items, and remove its leases and its secret."""
    _end_open_files(session, row.id, error)
    totals = _totals(session, row.id)
    by_status = {status: total[0] for status, total in totals.items()}
    row.status = _ending(by_status)
    _, row.bytes_done, row.files_done = totals.get(Status.COMPLETED, (0, 0, 0))
    row.error_reason = _reason(session, row, by_status)
    row.finished_at = now(session)
    if row.lifetime and by_status.keys() & {Status.COMPLETED, Status.SKIPPED}:
        row.expires_at = row.finished_at + timedelta(seconds=row.lifetime)
    cause = _cause(session, row)
    note_event(session, row.id, kind=row.status, detail=row.error_reason or _in_words(by_status), cause=cause)
    session.execute(delete(DestinationLease).where(col(DestinationLease.request_id) == row.id))
    if row.has_secret:
        forget_secret(session, row.id)


def _totals(session: Session, request_id: str) -> dict[Status, tuple[int, int, int]]:
    """Return the number of items, bytes and files of each status."""
    file = StagedFile
    sums = (func.count(), func.sum(col(file.bytes_done)), func.sum(col(file.files_done)))
    statement = select(col(file.status), *sums).where(col(file.request_id) == request_id).group_by(col(file.status))
    return {status: (items, int(size), int(files)) for status, items, size, files in session.execute(statement)}


def _ending(by_status: dict[Status, int]) -> Status:
    for status in (Status.CANCELLED, Status.FAILED, Status.COMPLETED):
        if by_status.get(status):
            return status
    return Status.SKIPPED


def _reason(session: Session, row: StagingRequestRow, by_status: dict[Status, int]) -> str | None:
    """Return why a request did not succeed: how many of its items did not, and the first reasons."""
    if not row.status.is_final or row.status in (Status.COMPLETED, Status.SKIPPED):
        return None
    file, total, count = StagedFile, sum(by_status.values()), by_status[row.status]
    statement = select(col(file.error_reason)).where(col(file.request_id) == row.id, col(file.status) == row.status)
    reasons = session.scalars(statement.order_by(col(file.position)).limit(MAX_REASONS * 100)).all()
    named = list(dict.fromkeys(reason or "no reason was given" for reason in reasons))
    more = "; ..." if len(named) > MAX_REASONS else ""
    said = "; ".join(named[:MAX_REASONS]) + more
    return said if total == 1 else f"{count} of {total} items {row.status}: {said}"


def _cause(session: Session, row: StagingRequestRow) -> str | None:
    """Return the kind of error of the first item that ended as the request did."""
    file = StagedFile
    ended_so = (col(file.request_id) == row.id, col(file.status) == row.status)
    statement = select(col(file.error_type)).where(*ended_so).order_by(col(file.position)).limit(1)
    return session.scalars(statement).first()


def _in_words(by_status: dict[Status, int]) -> str:
    return ", ".join(f"{count} {status}" for status, count in sorted(by_status.items()))
