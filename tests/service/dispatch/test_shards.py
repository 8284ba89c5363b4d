"""The shards of a large request get runs side by side, and each is looked after by itself; Prefect is real."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from stager.models import StagingItem, StagingRequest, Status
from stager.records.cutting import ShardLimits
from stager.records.requests import close_requests, create_request, renew_requests, start_requests
from stager.records.shards import shards_of
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from stager.records.tables import Shard
    from tests.service.conftest import PrefectServer, ServedDoor

pytestmark = [pytest.mark.any_database, pytest.mark.stack]


def cut(door: ServedDoor, count: int) -> str:
    """Record a request of so many shards, each of one item."""
    items = tuple(StagingItem(source="a", destination=f"b{number}") for number in range(count))
    request = StagingRequest(method="local_copy", username="alice", items=items)
    return create_request(door.database, request, limits=ShardLimits(items=1, size_bytes=1)).id


def shards(door: ServedDoor, request_id: str) -> list[Shard]:
    return shards_of(door.database, [request_id])[request_id]


def until(door: ServedDoor, request_id: str, holds: Callable[[list[Shard]], bool]) -> list[Shard]:
    deadline = time.monotonic() + PATIENCE
    while not holds(found := shards(door, request_id)):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def begun(door: ServedDoor, prefect: PrefectServer, request_id: str, number: int) -> str:
    """Begin the run that a shard gets, and return its id."""
    found = until(door, request_id, lambda shards: shards[number].flow_run_id is not None)
    run = str(found[number].flow_run_id)
    prefect.end(run, "RUNNING")
    start_requests(door.database, [request_id], flow_run_id=run, acting_as="alice")
    renew_requests(door.database, [request_id], seconds=600, flow_run_id=run)
    return run


def counted(door: ServedDoor, request_id: str) -> dict[str, int]:
    return dict(door.client.get(f"/requests/{request_id}/explain").json()["shards"])


def test_as_many_shards_as_may_have_a_run_at_a_time_and_explain_counts_them(
    door: ServedDoor, prefect: PrefectServer
) -> None:
    request_id = cut(door, 6)
    assert counted(door, request_id) == {"waiting": 6, "running": 0, "ended": 0}
    runs = [begun(door, prefect, request_id, number) for number in range(4)]
    assert len(set(runs)) == 4
    assert counted(door, request_id) == {"waiting": 2, "running": 4, "ended": 0}
    told = [prefect.client.get(f"/flow_runs/{run}").json()["parameters"] for run in runs]
    assert told == [{"request_ids": [request_id]}] * 4
    other = create_request(
        door.database,
        StagingRequest(method="local_copy", username="alice", items=(StagingItem(source="a", destination="c"),)),
    ).id
    assert door.eventually(other, lambda seen: seen["flow_run_id"])["flow_run_id"] not in runs
    assert shards(door, request_id)[4].run_key is None

    close_requests(door.database, [request_id], flow_run_id=runs[2])
    start_requests(door.database, [other], flow_run_id=None, acting_as="alice")

    until(door, request_id, lambda shards: shards[4].flow_run_id is not None)
    assert counted(door, request_id) == {"waiting": 2, "running": 3, "ended": 1}


def test_a_shard_whose_run_crashed_gets_another_and_one_whose_run_failed_ends_alone(
    door: ServedDoor, prefect: PrefectServer
) -> None:
    request_id = cut(door, 3)
    runs = [begun(door, prefect, request_id, number) for number in range(3)]
    renew_requests(door.database, [request_id], seconds=0, flow_run_id=runs[1])
    prefect.end(runs[0], "CRASHED", "its node died")
    prefect.end(runs[1], "FAILED", "it broke")

    found = until(
        door,
        request_id,
        lambda shards: shards[0].flow_run_id not in {None, runs[0]} and shards[1].status.is_final,
    )

    assert [shard.status for shard in found] == [Status.SUBMITTED, Status.FAILED, Status.STARTED]
    assert [shard.crashes for shard in found] == [1, 0, 0]
    seen = door.request(request_id)
    assert (seen["status"], seen["items"][1]["error_reason"]) == ("started", "the run failed: it broke")


def test_a_run_that_is_cancelled_in_prefect_cancels_all_of_its_request(
    door: ServedDoor, prefect: PrefectServer
) -> None:
    request_id = cut(door, 3)
    runs = [begun(door, prefect, request_id, number) for number in range(2)]
    renew_requests(door.database, [request_id], seconds=0, flow_run_id=runs[0])
    prefect.end(runs[0], "CANCELLED", "by hand")
    until(door, request_id, lambda shards: shards[2].status.is_final)  # each ends by itself, one after the other
    seen = door.request(request_id)
    assert seen["cancel_requested"]
    assert [item["status"] for item in seen["items"]] == ["cancelled", "submitted", "cancelled"]
