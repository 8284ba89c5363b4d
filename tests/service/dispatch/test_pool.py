"""What is small goes to the warm workers, what is large to pods that are the user."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from stager.dispatch.pools import needs_pod, pod_of
from stager.errors import UserDoesNotExist
from stager.records.runs import Load, RunGroup
from stager.settings import Settings

CLUSTER: dict[str, Any] = {"pods_namespace": "staging", "pods_from_items": 1000, "pods_from_bytes": 10_000}


@pytest.mark.parametrize(
    ("items", "size_bytes", "expected"), [(999, 9_999, False), (1000, 0, True), (1, 10_000, True), (1, 0, False)]
)
def test_a_request_gets_a_pod_from_so_many_items_or_bytes_on(items: int, size_bytes: int, *, expected: bool) -> None:
    assert needs_pod(Load(items=items, size_bytes=size_bytes), Settings(**CLUSTER)) is expected


def test_on_one_machine_everything_is_warm() -> None:
    assert not needs_pod(Load(items=10_000, size_bytes=2**60), Settings(pods_namespace=None))


def test_a_site_can_give_every_request_a_pod() -> None:
    assert needs_pod(Load(items=1, size_bytes=0), Settings(**{**CLUSTER, "pods_from_items": 0}))


def group(username: str) -> RunGroup:
    load = Load(items=1000, size_bytes=0)
    return RunGroup(key="1", username=username, method="local_copy", request_ids=("1",), load=load)


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
