"""Run groups: the requests that one flow run does.

A run costs Prefect's server far more than a request costs us. So what one user
asks for while their last run has not begun yet is done by the next one. No
request waits for others: without a run ahead of it, it goes at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.models import Status
from stager.records.database import Database, now
from stager.records.events import handed_to, note_event
from stager.records.runs.crashes import MAX_CRASHES
from stager.records.runs.fair_share import UNCLAIMED, FairShare
from stager.records.runs.load import Load, loads_in
from stager.records.tables import OPEN, StagingRequestRow

# The columns that a group needs of a request: whole records would cost ten times as much.
_FACTS = select(
    col(StagingRequestRow.id),
    col(StagingRequestRow.username),
    col(StagingRequestRow.method),
    col(StagingRequestRow.crashes),
)


@dataclass(frozen=True, kw_only=True)
class RunGroup:
    """Requests of one user and method that are claimed for one flow run, and the claim's key.

    Attributes
    ----------
    load
        The most items, and the most bytes, that one of them asks for.
    """

    key: str
    username: str
    method: str
    request_ids: tuple[str, ...]
    load: Load


def _none_is(_: Load) -> bool:
    return False


def claim_run_group(
    database: Database, share: FairShare, *, limit: int, is_large: Callable[[Load], bool] = _none_is
) -> RunGroup | None:
    """Claim a user's waiting requests for one run, by priority and age; None if another process did.

    One that has a single life left is alone in its run, so that whatever kills
    its runs takes no other with it. Small ones never share a run with large ones.

    Parameters
    ----------
    limit
        How many at most.
    is_large
        Which loads are large.
    """
    row = StagingRequestRow
    waits = (*UNCLAIMED, col(row.username) == share.username, col(row.method) == share.method)
    order = (col(row.priority).desc(), col(row.created_at), col(row.id))
    first_ones = _FACTS.where(*waits).order_by(*order).limit(limit)

    def work(session: Session) -> RunGroup | None:
        waiting = session.execute(first_ones.with_for_update()).all()
        if not waiting:
            return None
        first = waiting[0]
        loads = loads_in(session, [one.id for one in waiting])
        fits = is_large(loads[first.id])
        alike = [one for one in waiting if not _must_be_alone(one) and is_large(loads[one.id]) == fits]
        chosen = [first] if _must_be_alone(first) else alike
        key = f"{first.id}-{first.crashes}" if first.crashes else first.id  # Prefect never repeats a run of one key
        ids = tuple(one.id for one in chosen)
        session.execute(update(row).where(col(row.id).in_(ids)).values(run_key=key, flow_run_at=now(session)))
        return _group_of(key, chosen, loads)

    return database.write(work)


def _must_be_alone(row: Row[Any]) -> bool:
    return bool(row.crashes >= MAX_CRASHES - 1)


def claims_without_run(database: Database, *, older_than: float) -> Sequence[RunGroup]:
    """Return the claims older than some seconds that are not known to have a run in Prefect."""
    row = StagingRequestRow

    def work(session: Session) -> list[RunGroup]:
        before = now(session) - timedelta(seconds=older_than)
        lost = select(col(row.run_key)).where(
            col(row.status) == Status.SUBMITTED, col(row.flow_run_id).is_(None), col(row.flow_run_at) <= before
        )
        keys = session.scalars(lost.distinct().order_by(col(row.run_key))).all()
        return [group for key in keys if key is not None and (group := _group(session, key))]

    return database.read(work)


def note_flow_run(database: Database, request_ids: Sequence[str], flow_run_id: str) -> None:
    """Record which flow run does some open requests; a flow run that is known already stays."""
    row = StagingRequestRow
    unknown = (col(row.id).in_(request_ids), col(row.flow_run_id).is_(None), col(row.status).in_(OPEN))

    def work(session: Session) -> None:
        for request_id in session.scalars(select(col(row.id)).where(*unknown).with_for_update()).all():
            note_event(session, request_id, kind="flow_run", detail=handed_to(flow_run_id))
        session.execute(update(row).where(*unknown).values(flow_run_id=flow_run_id, flow_run_at=now(session)))

    database.write(work)


def _group(session: Session, key: str) -> RunGroup | None:
    row = StagingRequestRow
    order = (col(row.priority).desc(), col(row.created_at), col(row.id))
    rows = session.execute(_FACTS.where(col(row.run_key) == key).order_by(*order)).all()
    if not rows:
        return None
    return _group_of(key, rows, loads_in(session, [one.id for one in rows]))


def _group_of(key: str, rows: Sequence[Row[Any]], loads: Mapping[str, Load]) -> RunGroup:
    ids = tuple(one.id for one in rows)
    load = Load(items=max(loads[one].items for one in ids), size_bytes=max(loads[one].size_bytes for one in ids))
    return RunGroup(key=key, username=rows[0].username, method=rows[0].method, request_ids=ids, load=load)
