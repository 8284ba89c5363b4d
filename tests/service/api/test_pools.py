"""A request may ask for a pool, as far as the site lets it; it is shown, kept by a retry, and explained."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import pytest

from stager.dispatch.pools import pool_rule
from stager.models import Status
from stager.records.runs import FairShare, claim_run_group
from stager.settings import Settings
from stager.vocabulary import Pool
from tests.ports import NO_PREFECT

if TYPE_CHECKING:
    from tests.service.conftest import ServedDoor

pytestmark = pytest.mark.stack

BOTH = '["warm", "pod"]'
SMALL = "a warm worker: it has 1 item with 0 bytes, by the sizes that are known; "


@pytest.fixture(scope="module")
def cluster_door(
    serve: Callable[..., AbstractContextManager[ServedDoor]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedDoor]:
    """A door of a site with pods, where callers may choose, and that hands nothing over."""
    folder = tmp_path_factory.mktemp("cluster")
    pods = {"STAGER_PODS_NAMESPACE": "staging", "STAGER_DISPATCH": "false", "STAGER_POOLS_TO_CHOOSE": BOTH}
    where = {"database_url": f"sqlite:///{folder}/records.db", "prefect_api": NO_PREFECT}
    with serve(folder, **where, **pods, STAGER_SHARD_ITEMS="1500", STAGER_WAIT="0.2") as door:
        yield door


def explained(door: ServedDoor, request_id: str) -> list[dict[str, Any]]:
    return list(door.client.get(f"/requests/{request_id}/explain").raise_for_status().json()["pools"])


def refusal(door: ServedDoor, pool: str) -> tuple[int, str, str]:
    answer = door.ask(pool=pool)
    return answer.status_code, answer.json()["type"].rpartition("/")[2], answer.json()["detail"]


def test_a_pool_that_may_be_asked_for_is_shown_and_kept_by_a_retry(cluster_door: ServedDoor) -> None:
    client = cluster_door.client
    request_id = cluster_door.ask(pool="pod").json()["request_id"]
    cluster_door.end(request_id, {"status": Status.FAILED, "error_reason": "it failed"})
    again = client.post(f"/requests/{request_id}/retry").json()["request_id"]
    query = {"method": "local_copy", "username": "alice", "pool": "warm"}
    manifest = {"params": query, "content": b"source,destination\na,b\n", "headers": {"Content-Type": "text/csv"}}
    uploaded = client.post("/requests/from-manifest", **manifest).json()["request_id"]  # type: ignore[arg-type] # a dict
    silent = cluster_door.ask().json()["request_id"]

    assert client.get("/config").json()["pools"] == ["warm", "pod"]
    shown = {one["request_id"]: one["pool"] for one in client.get("/requests").json()["requests"]}
    asked = {request_id: "pod", again: "pod", uploaded: "warm", silent: None}
    assert {one: shown[one] for one in asked} == asked == {one: cluster_door.request(one)["pool"] for one in asked}


def test_a_key_with_another_pool_is_another_request(cluster_door: ServedDoor) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    answers = [cluster_door.ask(headers=key, **more).status_code for more in ({"pool": "pod"}, {"pool": "pod"}, {})]
    assert answers == [202, 202, 422]


def test_a_method_that_reads_nothing_back_is_not_asked_to(lone_door: ServedDoor) -> None:
    answer = lone_door.ask(verify="read")
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (400, "not-read-back")
    assert answer.json()["detail"].startswith("The method local_copy reads nothing back: leave `verify` out")
    assert lone_door.ask(verify="twice").status_code == 422


def test_a_pool_that_the_site_does_not_allow_or_have_is_refused_by_name(lone_door: ServedDoor) -> None:
    no_pods = "There are no pods at this site, which runs without Kubernetes: leave the pool out"
    not_allowed = "A request may not ask for the pool warm at this site: leave the pool out"
    assert refusal(lone_door, "pod") == (400, "no-pods", no_pods)
    assert refusal(lone_door, "warm") == (403, "pool-not-allowed", not_allowed)
    assert refusal(lone_door, "gpu")[0] == 422
    assert lone_door.client.get("/config").json()["pools"] == []


def test_where_a_request_runs_is_told_before_and_after_it_is_handed_over(cluster_door: ServedDoor) -> None:
    silent = cluster_door.ask(username="alice").json()["request_id"]
    asks = cluster_door.ask(pool="pod").json()["request_id"]
    before = [explained(cluster_door, one) for one in (silent, asks)]
    share = FairShare(username="alice", method="local_copy", is_next=True)
    rule = pool_rule(Settings(pods_namespace="staging", pods_from_items=0))  # as the settings were then
    while claim_run_group(cluster_door.database, share, limit=100, pool_of=rule):
        pass
    after = [explained(cluster_door, one) for one in (silent, asks)]

    pod = {"pool": "pod", "why": "a pod of its own: the request asks for it", "shards": 1}
    [told] = before[0]
    assert ((told["pool"], told["why"][: len(SMALL)], told["shards"]), before[1]) == (("warm", SMALL, 1), [pod])
    then = "a pod of its own: so the site's settings were when it was handed over"
    assert after == [[{**pod, "why": then}], [pod]]


def test_the_pools_of_shards_are_told_where_they_differ(cluster_door: ServedDoor) -> None:
    request_id = cluster_door.ask(*((f"a{n}", f"b{n}") for n in range(1600))).json()["request_id"]
    found = [(one["pool"], one["shards"], one["why"].partition(": ")[0]) for one in explained(cluster_door, request_id)]
    assert found == [("pod", 1, "shard 1 of 2"), ("warm", 1, "shard 2 of 2")]
    assert {Pool(pool) for pool, *_ in found} == set(Pool)
