"""Which requests ride together in one flow run, and whose turn it is.

A run costs Prefect's server far more than a request costs us. So what one user
asks for while their last run has not begun yet rides together in the next one.
Nobody waits for company: without a run ahead of it, a request goes at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, func, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.models import Status
from stager.records.database import Database, now
from stager.records.events import handed_to, note_event
from stager.records.runs.crashes import LIVES
from stager.records.runs.load import Weight, weights_in
from stager.records.tables import OPEN, StagingRequestRow

UNCLAIMED = (
    col(StagingRequestRow.status) == Status.SUBMITTED,
    col(StagingRequestRow.run_key).is_(None),
    col(StagingRequestRow.flow_run_id).is_(None),
    ~col(StagingRequestRow.is_arriving),
)
# What a run needs to know of a request: whole records would cost ten times as much.
_RIDERS = select(
    col(StagingRequestRow.id),
    col(StagingRequestRow.username),
    col(StagingRequestRow.method),
    col(StagingRequestRow.crashes),
)


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A user and a method that requests wait for.

    Attributes
    ----------
    is_next
        A run may be claimed for them.
    has_most_runs
        As many of the user's runs are under way as may be.
    """

    username: str
    method: str
    is_next: bool
    has_most_runs: bool = False


@dataclass(frozen=True, kw_only=True)
class Ride:
    """Requests of one user and method that are claimed for one flow run, and the run's key.

    Attributes
    ----------
    weight
        The most items, and the most bytes, that one of them asks for.
    """

    key: str
    username: str
    method: str
    request_ids: tuple[str, ...]
    weight: Weight


def turns(database: Database, *, methods: Collection[str], patience: float, most_runs: int) -> list[Turn]:
    """Return for whom requests wait that no run is claimed for: by priority, then who has waited longest.

    Parameters
    ----------
    methods
        Only those of these methods.
    patience
        It is not a user's turn while a run of theirs has not begun, but for no
        longer than this, in seconds.
    most_runs
        Nor is it while so many runs of theirs are under way.
    """
    row = StagingRequestRow
    waits = (*UNCLAIMED, col(row.method).in_(methods))
    order = (func.max(col(row.priority)).desc(), func.min(col(row.created_at)))
    who = select(col(row.username), col(row.method)).where(*waits).group_by(col(row.username), col(row.method))
    under_way = (col(row.status) == Status.STARTED, col(row.method).in_(methods))
    has_most = func.count(col(row.flow_run_id).distinct()) >= most_runs
    busy = select(col(row.username)).where(*under_way).group_by(col(row.username)).having(has_most)

    def work(session: Session) -> list[Turn]:
        since = now(session) - timedelta(seconds=patience)
        behind = (col(row.status) == Status.SUBMITTED, col(row.run_key).is_not(None), col(row.flow_run_at) > since)
        waiting = session.execute(who.order_by(*order)).all()
        if not waiting:
            return []
        full = set(session.scalars(busy))
        blocked = full | set(session.scalars(select(col(row.username)).where(*behind).distinct()))
        return [
            Turn(username=name, method=method, is_next=name not in blocked, has_most_runs=name in full)
            for name, method in waiting
        ]

    return database.read(work)


def _none_is(_: Weight) -> bool:
    return False


def claim_ride(
    database: Database, turn: Turn, *, limit: int, is_large: Callable[[Weight], bool] = _none_is
) -> Ride | None:
    """Claim waiting requests of a turn for one run, by priority and age; None when somebody else has.

    One that has a single life left rides alone, so that whatever kills its
    runs takes no other with it. Small ones never ride with large ones.

    Parameters
    ----------
    limit
        How many at most.
    is_large
        Which weights are large.
    """
    row = StagingRequestRow
    waits = (*UNCLAIMED, col(row.username) == turn.username, col(row.method) == turn.method)
    order = (col(row.priority).desc(), col(row.created_at), col(row.id))
    first_ones = _RIDERS.where(*waits).order_by(*order).limit(limit)

    def work(session: Session) -> Ride | None:
        waiting = session.execute(first_ones.with_for_update()).all()
        if not waiting:
            return None
        first = waiting[0]
        weights = weights_in(session, [one.id for one in waiting])
        fits = is_large(weights[first.id])
        company = [one for one in waiting if not _rides_alone(one) and is_large(weights[one.id]) == fits]
        riders = [first] if _rides_alone(first) else company
        key = f"{first.id}-{first.crashes}" if first.crashes else first.id  # Prefect never repeats a run of one key
        ids = tuple(one.id for one in riders)
        session.execute(update(row).where(col(row.id).in_(ids)).values(run_key=key, flow_run_at=now(session)))
        return _ride_of(key, riders, weights)

    return database.write(work)


def _rides_alone(row: Row[Any]) -> bool:
    return bool(row.crashes >= LIVES - 1)


def unasked_rides(database: Database, *, older_than: float) -> Sequence[Ride]:
    """Return what was claimed so long ago, in seconds, but is not known to have been asked for."""
    row = StagingRequestRow

    def work(session: Session) -> list[Ride]:
        before = now(session) - timedelta(seconds=older_than)
        lost = select(col(row.run_key)).where(
            col(row.status) == Status.SUBMITTED, col(row.flow_run_id).is_(None), col(row.flow_run_at) <= before
        )
        keys = session.scalars(lost.distinct().order_by(col(row.run_key))).all()
        return [ride for key in keys if key is not None and (ride := _ride(session, key))]

    return database.read(work)


def note_flow_run(database: Database, request_ids: Sequence[str], flow_run_id: str) -> None:
    """Write down which flow run does some requests, as far as they are open; the first that is known stays."""
    row = StagingRequestRow
    unknown = (col(row.id).in_(request_ids), col(row.flow_run_id).is_(None), col(row.status).in_(OPEN))

    def work(session: Session) -> None:
        for request_id in session.scalars(select(col(row.id)).where(*unknown).with_for_update()).all():
            note_event(session, request_id, kind="flow_run", detail=handed_to(flow_run_id))
        session.execute(update(row).where(*unknown).values(flow_run_id=flow_run_id, flow_run_at=now(session)))

    database.write(work)


def _ride(session: Session, key: str) -> Ride | None:
    row = StagingRequestRow
    riders = _RIDERS.where(col(row.run_key) == key).order_by(col(row.priority).desc(), col(row.created_at), col(row.id))
    rows = session.execute(riders).all()
    if not rows:
        return None
    return _ride_of(key, rows, weights_in(session, [one.id for one in rows]))


def _ride_of(key: str, riders: Sequence[Row[Any]], weights: Mapping[str, Weight]) -> Ride:
    ids = tuple(one.id for one in riders)
    weight = Weight(
        items=max(weights[one].items for one in ids), size_bytes=max(weights[one].size_bytes for one in ids)
    )
    return Ride(key=key, username=riders[0].username, method=riders[0].method, request_ids=ids, weight=weight)
