"""Run groups: the requests that one flow run does, or one shard of a large one.

A run costs Prefect's server far more than a request costs us. So what one user
asks for while their last run has not begun yet is done by the next one. No
request waits for others: without a run ahead of it, it goes at once. A shard
of several has a run to itself: they are to be done side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, or_, select, tuple_, update
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.models import Status
from stager.records.database import Database, now
from stager.records.events import handed_to, note_event
from stager.records.runs.crashes import MAX_CRASHES
from stager.records.runs.fair_share import FairShare, unclaimed
from stager.records.runs.load import Load
from stager.records.shards import named, show_claims
from stager.records.tables import OPEN, Shard
from stager.vocabulary import Pool

# The columns that a group needs of a shard: whole records would cost ten times as much.
_FACTS = select(
    col(Shard.request_id),
    col(Shard.number),
    col(Shard.shard_count),
    col(Shard.first_position),
    col(Shard.end_position),
    col(Shard.size_bytes),
    col(Shard.username),
    col(Shard.method),
    col(Shard.crashes),
    col(Shard.pool),
    col(Shard.run_pool),
)
# By priority and age; what else a user asks for goes before the later shards of what is large.
_ORDER = (col(Shard.priority).desc(), col(Shard.number), col(Shard.created_at), col(Shard.request_id))


@dataclass(frozen=True, kw_only=True)
class RunGroup:
    """Requests of one user and method that are claimed for one flow run, the claim's key, and the run's pool."""

    key: str
    username: str
    method: str
    request_ids: tuple[str, ...]
    pool: Pool


PoolOf = Callable[[Load], Pool]


def _warm(_: Load) -> Pool:
    return Pool.WARM


def claim_run_group(
    database: Database,
    share: FairShare,
    *,
    limit: int,
    pool_of: PoolOf = _warm,
    most_shards: int | None = None,
) -> RunGroup | None:
    """Claim a user's waiting shards for one run, by priority and age; None if another process did.

    One of several of its request, or that has a single life left, is alone in its run, so that whatever kills
    its runs takes no other with it. Those for different pools never share a run.

    Parameters
    ----------
    limit
        How many at most.
    pool_of
        The pool that a load goes to.
    most_shards
        As in ``fair_shares``.
    """
    waits = (*unclaimed(most_shards), col(Shard.username) == share.username, col(Shard.method) == share.method)
    first_ones = _FACTS.where(*waits).order_by(*_ORDER).limit(limit)

    def work(session: Session) -> RunGroup | None:
        waiting = session.execute(first_ones.with_for_update()).all()
        if not waiting:
            return None
        first = waiting[0]
        pool = pool_of(load_of(first))
        alike = [one for one in waiting if not _must_be_alone(one) and pool_of(load_of(one)) is pool]
        chosen = [first] if _must_be_alone(first) else alike
        key = _key(first)
        claim = {"run_key": key, "flow_run_at": now(session)}
        session.execute(update(Shard).where(_are(chosen)).values({**claim, "run_pool": pool}))
        show_claims(session, chosen, **claim)
        return _group_of(key, chosen, pool)

    return database.write(work)


def _must_be_alone(shard: Row[Any]) -> bool:
    return bool(shard.crashes >= MAX_CRASHES - 1 or shard.shard_count > 1)


def _key(shard: Row[Any]) -> str:
    """Return a key for a run that begins with a shard; Prefect never repeats a run of one key."""
    part = f".{shard.number}" if shard.number else ""
    return f"{shard.request_id}{part}-{shard.crashes}" if shard.crashes else f"{shard.request_id}{part}"


def _are(shards: Sequence[Row[Any]]) -> ColumnElement[bool]:
    return tuple_(col(Shard.request_id), col(Shard.number)).in_([(one.request_id, one.number) for one in shards])


def claims_without_run(database: Database, *, older_than: float, pool_of: PoolOf = _warm) -> Sequence[RunGroup]:
    """Return the claims older than some seconds that are not known to have a run in Prefect.

    Parameters
    ----------
    pool_of
        The pool that a load goes to, where the claim is by a version that recorded none.
    """

    def work(session: Session) -> list[RunGroup]:
        before = now(session) - timedelta(seconds=older_than)
        lost = select(col(Shard.run_key)).where(
            col(Shard.status) == Status.SUBMITTED, col(Shard.flow_run_id).is_(None), col(Shard.flow_run_at) <= before
        )
        keys = session.scalars(lost.distinct().order_by(col(Shard.run_key))).all()
        return [group for key in keys if key is not None and (group := _group(session, key, pool_of))]

    return database.read(work)


def note_flow_run(
    database: Database, request_ids: Sequence[str], flow_run_id: str, *, run_key: str | None = None
) -> None:
    """Record which flow run does some open requests; a flow run that is known already stays.

    Parameters
    ----------
    run_key
        The key of the claim, by which the shard is known of a request that has several.
    """
    of_claim = or_(col(Shard.shard_count) == 1, col(Shard.run_key) == run_key)
    unknown = (col(Shard.request_id).in_(request_ids), of_claim, col(Shard.flow_run_id).is_(None))
    statement = select(Shard).where(*unknown, col(Shard.status).in_(OPEN)).order_by(col(Shard.request_id))

    def work(session: Session) -> None:
        shards = session.scalars(statement.with_for_update()).all()
        moment = now(session)
        for shard in shards:
            note_event(session, shard.request_id, kind="flow_run", detail=f"{named(shard)}{handed_to(flow_run_id)}")
            shard.flow_run_id, shard.flow_run_at = flow_run_id, moment
        show_claims(session, shards, flow_run_id=flow_run_id, flow_run_at=moment)

    database.write(work)


def _group(session: Session, key: str, pool_of: PoolOf) -> RunGroup | None:
    shards = session.execute(_FACTS.where(col(Shard.run_key) == key).order_by(*_ORDER)).all()
    return _group_of(key, shards, shards[0].run_pool or pool_of(load_of(shards[0]))) if shards else None


def _group_of(key: str, shards: Sequence[Row[Any]], pool: Pool) -> RunGroup:
    first, ids = shards[0], tuple(one.request_id for one in shards)
    return RunGroup(key=key, username=first.username, method=first.method, request_ids=ids, pool=pool)


def load_of(shard: Shard | Row[Any]) -> Load:
    """Return the load of a shard."""
    items = shard.end_position - shard.first_position
    return Load(items=items, size_bytes=shard.size_bytes, wanted_pool=shard.pool)
