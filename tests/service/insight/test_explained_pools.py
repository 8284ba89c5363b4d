"""The answer to: where does my request run, and why there? Before a run is claimed by the rule, then by the record."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from stager.insight.explain.pools import pools_of
from stager.models import Status
from stager.records.tables import Shard
from stager.settings import Settings
from stager.vocabulary import Pool

SETTINGS = Settings(pods_namespace="staging", pods_from_items=1000, pods_from_bytes=10_000)
ITEMS = "items, and gets one from 1,000 on (STAGER_PODS_FROM_ITEMS)"


def shard(number: int = 0, *, of: int = 1, items: int = 1, **more: Any) -> Shard:
    whose: dict[str, Any] = {
        "request_id": "r",
        "method": "local_copy",
        "username": "alice",
        "priority": 0,
        "size_bytes": 0,
    }
    which = {"number": number, "shard_count": of, "first_position": 0, "end_position": items}
    return Shard(**(whose | which | {"status": Status.SUBMITTED, "created_at": datetime.now(UTC)} | more))


def told(*shards: Shard) -> list[tuple[Pool | None, int, str]]:
    return [(one.pool, one.shards, one.why) for one in pools_of(shards, SETTINGS)]


def test_shards_that_agree_are_told_once_and_others_each_for_themselves() -> None:
    [one] = told(*(shard(number, of=3, items=2000) for number in range(3)))
    assert one == (Pool.POD, 3, f"shard 1 of 3: a pod of its own: it has 2,000 {ITEMS}")
    large, small = told(*(shard(number, of=3, items=items) for number, items in enumerate((2000, 2000, 7))))
    assert large == (Pool.POD, 2, one[2])
    assert (small[:2], small[2][:45]) == ((Pool.WARM, 1), "shard 3 of 3: a warm worker: it has 7 items w")


def test_once_a_run_is_claimed_its_pool_is_the_records() -> None:
    claimed: dict[str, Any] = {"run_key": "k", "run_pool": Pool.POD}
    assert told(shard(items=2000, **claimed)) == [(Pool.POD, 1, f"a pod of its own: it has 2,000 {ITEMS}")]
    then = "a pod of its own: so the site's settings were when it was handed over"
    assert told(shard(**claimed)) == [(Pool.POD, 1, then)]
    ended = shard(**claimed, flow_run_id="run", status=Status.COMPLETED, pool=Pool.POD)
    assert told(ended) == [(Pool.POD, 1, "a pod of its own: the request asks for it")]


def test_where_the_service_did_not_choose_that_is_said() -> None:
    typed = "whoever started its run in Prefect chose the pool, or a version handed it over that recorded none"
    assert told(shard(flow_run_id="run")) == told(shard(run_key="k")) == [(None, 1, typed)]
    assert told(shard(status=Status.CANCELLED)) == [(None, 1, "it ended before a run was claimed for it")]
    assert told() == []
