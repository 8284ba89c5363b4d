"""Fair share: the choice of the user whose shards run next; each has one run in Prefect's queue."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session, aliased
from sqlmodel import col

from stager.models import Status
from stager.records.database import Database, now
from stager.records.tables import OPEN, Shard

UNCLAIMED = (
    col(Shard.status) == Status.SUBMITTED,
    col(Shard.run_key).is_(None),
    col(Shard.flow_run_id).is_(None),
)


def unclaimed(most_shards: int | None) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that a shard waits for a claim; a request has so many claimed at a time, at most."""
    if most_shards is None:
        return UNCLAIMED
    other = aliased(Shard)
    its = (col(other.request_id) == col(Shard.request_id), col(other.status).in_(OPEN), col(other.run_key).is_not(None))
    claimed = select(func.count()).select_from(other).where(*its).scalar_subquery()
    return (*UNCLAIMED, or_(col(Shard.shard_count) == 1, claimed < most_shards))


@dataclass(frozen=True, kw_only=True)
class FairShare:
    """A user's requests by one method that wait, and whether it is their turn.

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


def fair_shares(
    database: Database,
    *,
    methods: Collection[str],
    patience: float,
    most_runs: int,
    most_shards: int | None = None,
) -> list[FairShare]:
    """Return the users with shards of requests that no run is claimed for, by priority, then by who has waited longest.

    Parameters
    ----------
    methods
        Only those of these methods.
    patience
        It is not a user's turn while a run of theirs has not begun, but for no
        longer than this, in seconds.
    most_runs
        Nor is it while so many runs of theirs are under way.
    most_shards
        How many shards of one request have a run at a time; by default any number.
    """
    row = Shard
    waits = (*unclaimed(most_shards), col(row.method).in_(methods))
    order = (func.max(col(row.priority)).desc(), func.min(col(row.created_at)))
    who = select(col(row.username), col(row.method)).where(*waits).group_by(col(row.username), col(row.method))
    under_way = (col(row.status) == Status.STARTED, col(row.method).in_(methods))
    has_most = func.count(col(row.flow_run_id).distinct()) >= most_runs
    busy = select(col(row.username)).where(*under_way).group_by(col(row.username)).having(has_most)

    def work(session: Session) -> list[FairShare]:
        since = now(session) - timedelta(seconds=patience)
        behind = (col(row.status) == Status.SUBMITTED, col(row.run_key).is_not(None), col(row.flow_run_at) > since)
        waiting = session.execute(who.order_by(*order)).all()
        if not waiting:
            return []
        full = set(session.scalars(busy))
        blocked = full | set(session.scalars(select(col(row.username)).where(*behind).distinct()))
        return [
            FairShare(username=name, method=method, is_next=name not in blocked, has_most_runs=name in full)
            for name, method in waiting
        ]

    return database.read(work)
