"""Which pools a request's shards run in, and why: by the record once a run is claimed, until then by the rule."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from stager.dispatch.pools import IN_WORDS, choose_pool
from stager.http.record_views import View
from stager.models import Status
from stager.records.runs import load_of
from stager.records.shards import named
from stager.records.tables import Shard
from stager.settings import Settings
from stager.vocabulary import Pool


class ShardsPool(View):
    """A pool, the shards of a request that run in it or will, and why."""

    pool: Pool | None = Field(
        description="warm: a warm worker; pod: a pod of their own; null where the service did not choose.",
        examples=[Pool.POD],
    )
    why: str = Field(
        description="The reason in a sentence; of several shards, the first one's.",
        examples=["a pod of its own: it has 30,000 items, and gets one from 1,000 on (STAGER_PODS_FROM_ITEMS)"],
    )
    shards: int = Field(description="How many shards that is.", examples=[1])


def pools_of(shards: Sequence[Shard], settings: Settings) -> tuple[ShardsPool, ...]:
    """Return the pools of a request's shards, in the order of the shards: one where all agree, none of a download."""
    found: dict[Pool | None, ShardsPool] = {}
    for shard in shards:
        pool, why = _choice(shard, settings)
        known = found.get(pool) or ShardsPool(pool=pool, why=f"{named(shard)}{why}", shards=0)
        found[pool] = known.model_copy(update={"shards": known.shards + 1})
    return tuple(found.values())


def _choice(shard: Shard, settings: Settings) -> tuple[Pool | None, str]:
    rule = choose_pool(load_of(shard), settings)
    if shard.run_pool is not None and shard.run_pool is not rule.pool:
        return shard.run_pool, f"{IN_WORDS[shard.run_pool]}: so the site's settings were when it was handed over"
    if shard.run_pool is not None or (shard.status is Status.SUBMITTED and shard.flow_run_id is shard.run_key is None):
        return rule.pool, rule.why
    if shard.flow_run_id is None and shard.run_key is None:
        return None, "it ended before a run was claimed for it"
    return None, "whoever started its run in Prefect chose the pool, or a version handed it over that recorded none"
