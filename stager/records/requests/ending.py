"""The ending of requests: a shard's items end, then the shard, and with the last of them the request."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.errors import Cancelled, DeadlinePassed, StagingError
from stager.models import MAX_SIZE_BYTES, Status
from stager.records.database import Database, now
from stager.records.database.sums import sum_of
from stager.records.events import note_event
from stager.records.request_secrets import forget_secret
from stager.records.requests.rest import hand_out_rest
from stager.records.shards import items_of_shard, named, shards_in, show_run, take_leases_away
from stager.records.tables import OPEN, DestinationLease, Shard, StagedFile, StagingRequestRow

# Reasons of items that a request's own reason names.
MAX_REASONS = 3
CANCEL_REQUESTED = "cancel_requested"


class _Outcome(NamedTuple):
    """How some items ended together, and the number of items, bytes and files of each status."""

    status: Status
    error_reason: str | None
    totals: dict[Status, tuple[int, int, int]]

    @property
    def words(self) -> str:
        return self.error_reason or ", ".join(f"{total[0]} {status}" for status, total in sorted(self.totals.items()))


def end_in(session: Session, row: StagingRequestRow, error: StagingError) -> None:
    """End the open items with an error, end the request by its items, and remove its leases and its secret."""
    shards = shards_in(session, [row.id])[row.id]
    items = (col(StagedFile.request_id) == row.id,)
    _end_open_files(session, items, error)
    outcome = _end_request(session, row, items)
    for shard in shards:
        if not shard.status.is_final:
            _end_shard(session, shard, outcome if len(shards) == 1 else _outcome(session, items_of_shard(shard)))
    show_run(row, shards)


def end_shard_in(session: Session, row: StagingRequestRow, shard: Shard, error: StagingError) -> None:
    """End a shard's open items with an error, and it by its items; end the request, which is locked, with its last.

    What items were expanded into and no shard has yet gets one when the last of these has ended, unless the request is
    to be stopped, or was this shard's run's alone: then it ends with the shard.
    """
    shards = shards_in(session, [row.id])[row.id]
    if shards[-1].end_position < row.item_count and not isinstance(error, Cancelled):
        own = col(StagedFile.position).between(shard.first_position, shard.end_position - 1)
        _end_open_files(session, (col(StagedFile.request_id) == row.id, own), error)
        hand_out_rest(session, row)
        shards = shards_in(session, [row.id])[row.id]
    if all(other.status.is_final for other in shards if other is not shard):
        end_in(session, row, error)
        return
    items = items_of_shard(shard)
    _end_open_files(session, items, error)
    outcome = _outcome(session, items)
    _end_shard(session, shard, outcome)
    take_leases_away(session, shard)
    detail, cause = f"{named(shard)}{outcome.words}", _cause(session, shard.status, items)
    note_event(session, row.id, kind="shard", detail=detail, cause=cause)
    show_run(row, shards)


def stop_in(session: Session, row: StagingRequestRow, error: Cancelled, *, why: str) -> None:
    """End a request that no run has begun; ask the runs of any other to stop, and have its other shards ended then.

    One of several shards is ended by `end_waiting_shards`, after the transaction: each by itself, since all at once
    would keep every other writer waiting.
    """
    shard_count = len(shards_in(session, [row.id])[row.id])
    if row.status is Status.SUBMITTED and shard_count <= 1:
        end_in(session, row, error)
    elif not row.status.is_final and not row.cancel_requested:
        row.cancel_requested = True
        note_event(session, row.id, kind=CANCEL_REQUESTED, detail=why, cause=type(error).__name__)


def end_waiting_shards(database: Database, request_id: str) -> None:
    """End the shards that no run has begun of a request whose runs were asked to stop, one after the other."""

    def work(session: Session) -> bool:
        row = session.get(StagingRequestRow, request_id, with_for_update=True)
        if row is None or row.status.is_final or not row.cancel_requested:
            return False
        waiting = [shard for shard in shards_in(session, [request_id])[request_id] if shard.status is Status.SUBMITTED]
        if waiting:
            end_shard_in(session, row, waiting[0], why_stopped(row, now(session)))
        return len(waiting) > 1

    while database.write(work):
        pass


def why_stopped(row: StagingRequestRow, moment: datetime) -> Cancelled:
    """Return why a request is to be stopped: its deadline has passed, or it was cancelled."""
    return DeadlinePassed(row.deadline) if row.deadline and row.deadline <= moment else Cancelled()


def _end_open_files(session: Session, items: Sequence[ColumnElement[bool]], error: StagingError) -> None:
    file = StagedFile
    session.execute(
        update(file)
        .where(*items, col(file.status).in_(OPEN))
        .values(
            status=Status.CANCELLED if isinstance(error, Cancelled) else Status.FAILED,
            error_reason=error.message,
            error_type=type(error).__name__,
            finished_at=now(session),
        )
    )


def _end_shard(session: Session, shard: Shard, outcome: _Outcome) -> None:
    shard.status, shard.error_reason, shard.finished_at = outcome.status, outcome.error_reason, now(session)


def _end_request(session: Session, row: StagingRequestRow, items: Sequence[ColumnElement[bool]]) -> _Outcome:
    outcome = _outcome(session, items)
    row.status, row.error_reason, row.finished_at = outcome.status, outcome.error_reason, now(session)
    _, row.bytes_done, row.files_done = outcome.totals.get(Status.COMPLETED, (0, 0, 0))
    if row.lifetime and outcome.totals.keys() & {Status.COMPLETED, Status.SKIPPED}:
        row.expires_at = row.finished_at + timedelta(seconds=row.lifetime)
    cause = _cause(session, row.status, items)
    note_event(session, row.id, kind=row.status, detail=outcome.words, cause=cause)
    session.execute(delete(DestinationLease).where(col(DestinationLease.request_id) == row.id))
    if row.has_secret:
        forget_secret(session, row.id)
    return outcome


def _outcome(session: Session, items: Sequence[ColumnElement[bool]]) -> _Outcome:
    file = StagedFile
    sums = (func.count(), sum_of(col(file.bytes_done)), sum_of(col(file.files_done)))
    kinds = (col(file.status), col(file.expand).is_not(None))
    found: Any = session.execute(select(*kinds, *sums).where(*items).group_by(*kinds)).all()
    # An item that became many delivered nothing itself: it counts where there is nothing else.
    counted = [one for one in found if one[:2] != (Status.COMPLETED, True)] or found
    totals: dict[Status, tuple[int, int, int]] = {}
    for status, _, *some in counted:
        count, size, files = map(int, some)
        before = totals.get(status, (0, 0, 0))
        most = MAX_SIZE_BYTES
        totals[status] = (before[0] + count, min(before[1] + size, most), min(before[2] + files, most))
    ranked = (Status.CANCELLED, Status.FAILED, Status.COMPLETED)
    status = next((status for status in ranked if status in totals), Status.SKIPPED)
    return _Outcome(status, _reason(session, items, status, totals), totals)


def _reason(
    session: Session,
    items: Sequence[ColumnElement[bool]],
    status: Status,
    totals: dict[Status, tuple[int, int, int]],
) -> str | None:
    """Return why items did not succeed: how many of them did not, and the first reasons."""
    if status in (Status.COMPLETED, Status.SKIPPED):
        return None
    file, total, count = StagedFile, sum(total[0] for total in totals.values()), totals[status][0]
    statement = select(col(file.error_reason)).where(*items, col(file.status) == status)
    reasons = session.scalars(statement.order_by(col(file.position)).limit(MAX_REASONS * 100)).all()
    told = list(dict.fromkeys(reason or "no reason was given" for reason in reasons))
    more = "; ..." if len(told) > MAX_REASONS else ""
    said = "; ".join(told[:MAX_REASONS]) + more
    return said if total == 1 else f"{count} of {total} items {status}: {said}"


def _cause(session: Session, status: Status, items: Sequence[ColumnElement[bool]]) -> str | None:
    """Return the kind of error of the first of some items that ended in a status."""
    file = StagedFile
    ended_so = select(col(file.error_type)).where(*items, col(file.status) == status)
    return session.scalars(ended_so.order_by(col(file.position)).limit(1)).first()
