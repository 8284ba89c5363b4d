"""One rule says which pool a load goes to, and why; what a request asks for counts as far as the site lets it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from stager.dispatch.pools import check_pool, choose_pool, pod_of, pool_rule, pools_to_choose
from stager.errors import NoPods, PoolNotAllowed, UserDoesNotExist
from stager.records.runs import Load, RunGroup
from stager.settings import Settings
from stager.vocabulary import Pool

CLUSTER: dict[str, Any] = {"pods_namespace": "staging", "pods_from_items": 1000, "pods_from_bytes": 10_000}
ONE_MACHINE: dict[str, Any] = {**CLUSTER, "pods_namespace": None}
BOTH: dict[str, Any] = {"pools_to_choose": (Pool.WARM, Pool.POD)}
NONE: dict[str, Any] = {"pools_to_choose": ()}
POD, WARM = "a pod of its own: ", "a warm worker: "
STATED = "by the sizes that are known"
SMALL = f"it has 1 item with 0 bytes, {STATED}; a pod is for 1,000 items or 10,000 bytes and more"


@pytest.mark.parametrize(
    ("settings", "load", "pool", "why"),
    [
        (CLUSTER, (999, 9_999), Pool.WARM, f"{WARM}it has 999 items with 9,999 bytes, {STATED}; "),
        (CLUSTER, (1, 0), Pool.WARM, f"{WARM}{SMALL}"),
        (CLUSTER, (30_000, 0), Pool.POD, f"{POD}it has 30,000 items, and gets one from 1,000 on (STAGER_"),
        (CLUSTER, (1, 10_000), Pool.POD, f"{POD}its items have 10,000 bytes, {STATED}, and it gets one from 10,000"),
        ({**CLUSTER, "pods_from_items": 0}, (1, 0), Pool.POD, f"{POD}at this site every request gets one"),
        (ONE_MACHINE, (10_000, 2**60), Pool.WARM, f"{WARM}there are no pods at this site"),
        (CLUSTER, (1, 0, Pool.POD), Pool.POD, f"{POD}the request asks for it"),
        (CLUSTER | BOTH, (30_000, 0, Pool.WARM), Pool.WARM, f"{WARM}the request asks for it"),
    ],
)
def test_a_request_gets_a_pod_from_so_many_items_or_bytes_on_or_where_it_asks_for_one(
    settings: dict[str, Any], load: tuple[Any, ...], pool: Pool, why: str
) -> None:
    asked = Load(**dict(zip(("items", "size_bytes", "wanted_pool"), load, strict=False)))
    found = choose_pool(asked, Settings(**settings))
    assert (found.pool, found.why[: len(why)]) == (pool, why)
    assert pool_rule(Settings(**settings))(asked) is pool


@pytest.mark.parametrize(
    ("settings", "wanted", "pool"),
    [
        (CLUSTER, Pool.WARM, Pool.POD),
        (CLUSTER | NONE, Pool.WARM, Pool.POD),
        (ONE_MACHINE | BOTH, Pool.POD, Pool.WARM),
    ],
)
def test_what_the_site_allows_no_more_is_chosen_by_size_and_said(
    settings: dict[str, Any], wanted: Pool, pool: Pool
) -> None:
    found = choose_pool(Load(items=1000, size_bytes=0, wanted_pool=wanted), Settings(**settings))
    assert found.pool is pool
    assert found.why.endswith(f"; the request asks for {wanted}, which callers may not choose here any more")


@pytest.mark.parametrize(
    ("settings", "wanted", "instead"),
    [
        (CLUSTER, Pool.WARM, "it may ask for pod, or leave the pool out"),
        (CLUSTER | NONE, Pool.POD, "leave the pool out"),
        (ONE_MACHINE, Pool.WARM, "leave the pool out"),
    ],
)
def test_a_pool_that_callers_may_not_choose_is_refused_with_those_that_they_may(
    settings: dict[str, Any], wanted: Pool, instead: str
) -> None:
    with pytest.raises(PoolNotAllowed) as refused:
        check_pool(wanted, Settings(**settings))
    assert refused.value.message == f"A request may not ask for the pool {wanted} at this site: {instead}"
    assert refused.value.allowed == pools_to_choose(Settings(**settings))


def test_a_pod_is_refused_where_there_are_none() -> None:
    with pytest.raises(NoPods, match=r"runs without Kubernetes: it may ask for warm, or leave the pool out"):
        check_pool(Pool.POD, Settings(**ONE_MACHINE | BOTH))


def test_whoever_asks_for_no_pool_or_an_allowed_one_is_let_in() -> None:
    for wanted in (None, Pool.WARM, Pool.POD):
        check_pool(wanted, Settings(**CLUSTER | BOTH))
    check_pool(None, Settings(**ONE_MACHINE))


def group(username: str) -> RunGroup:
    return RunGroup(key="1", username=username, method="local_copy", request_ids=("1",), pool=Pool.POD)


def test_a_pod_is_the_user(tmp_path: Path) -> None:
    users = tmp_path / "users.toml"
    users.write_text("[users.alice]\nuid = 70001\ngid = 70002\ngroups = [70003]\n")
    settings = Settings(**CLUSTER, users_file=users)
    assert asyncio.run(pod_of(group("alice"), settings)) == {
        "run_as_user": 70001,
        "run_as_group": 70002,
        "supplemental_groups": [70002, 70003],
    }
    with pytest.raises(UserDoesNotExist):
        asyncio.run(pod_of(group("bob"), settings))
    assert asyncio.run(pod_of(group("alice"), Settings(**ONE_MACHINE))) is None  # whatever was claimed before
