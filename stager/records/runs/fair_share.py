"""Fair share: the choice of the user whose shards run next; each has one run in Prefect's queue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, case, func, or_, select
from sqlalchemy.orm import Session, aliased
from sqlmodel import col

from stager.models import Status
from stager.records.database import Database, now
from stager.records.tables import OPEN, Shard
from stager.vocabulary import Pool

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
        As many of the user's runs are under way as may be, pods that wait to begin included.
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
    begun = (col(row.status) == Status.STARTED, col(row.method).in_(methods))
    runs = select(col(row.username), func.count(col(row.flow_run_id).distinct())).where(*begun)
    is_claimed = (col(row.status) == Status.SUBMITTED, col(row.run_key).is_not(None))
    # A claim that Prefect has not heard of holds nothing: its deployment may be missing.
    pods = func.count(case((col(row.run_pool) == Pool.POD, col(row.flow_run_id))).distinct())
    claims = select(col(row.username), func.max(col(row.flow_run_at)), pods).where(*is_claimed)

    def work(session: Session) -> list[FairShare]:
        since = now(session) - timedelta(seconds=patience)
        waiting = session.execute(who.order_by(*order)).all()
        if not waiting:
            return []
        under_way = Counter(dict(session.execute(runs.group_by(col(row.username))).tuples().all()))
        behind = set()
        for name, claimed_at, waiting_pods in session.execute(claims.group_by(col(row.username))):
            under_way[name] += waiting_pods
            if claimed_at > since:
                behind.add(name)
        full = {name for name, count in under_way.items() if count >= most_runs}
        return [
            FairShare(username=name, method=method, is_next=name not in behind | full, has_most_runs=name in full)
            for name, method in waiting
        ]

    return database.read(work)
