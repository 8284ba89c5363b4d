"""The dispatcher and the reconciler as a process of their own, beside a service that has neither."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.service.conftest import PrefectServer, ServedDoor

Dispatch = Callable[..., AbstractContextManager[subprocess.Popen[bytes]]]
Serve = Callable[..., AbstractContextManager["ServedDoor"]]
LAG = "staging_reconciler_lag_seconds"


@pytest.fixture
def idle_door(serve: Serve, prefect: PrefectServer, database_url: str, open_path: Path) -> Iterator[ServedDoor]:
    """A door that hands nothing to Prefect itself, and keeps nobody waiting."""
    settings = {"STAGER_DISPATCH": "false", "STAGER_WAIT": "0", "STAGER_LEASE": "0.5"}
    with serve(open_path, database_url=database_url, prefect_api=prefect.gated_api, **settings) as door:
        yield door


def asked(door: ServedDoor) -> str:
    return str(door.ask().json()["request_id"])


def handed_over(door: ServedDoor, request_id: str) -> str:
    found = door.eventually(request_id, lambda request: request["flow_run_id"] is not None)
    return str(found["flow_run_id"])


def test_what_a_service_records_is_handed_over_and_looked_after_by_the_dispatcher_beside_it(
    idle_door: ServedDoor, dispatch: Dispatch, prefect: PrefectServer
) -> None:
    request_id = asked(idle_door)
    with dispatch(idle_door):
        run = handed_over(idle_door, request_id)
        prefect.end(run, "CRASHED", "its machine is gone")
        again = idle_door.eventually(request_id, lambda request: request["flow_run_id"] not in {None, run})
        prefect.end(again["flow_run_id"], "RUNNING")  # what fails before that is taken up once more
        prefect.end(again["flow_run_id"], "FAILED", "it cannot be done")
        ended = idle_door.eventually(request_id, lambda request: bool(request["finished_at"]))
    assert (ended["status"], ended["error_reason"]) == ("failed", "the run failed: it cannot be done")


def test_the_dispatcher_looks_again_by_itself_and_ends_cleanly_when_told_to(
    idle_door: ServedDoor, dispatch: Dispatch
) -> None:
    with dispatch(idle_door, STAGER_RECONCILE_INTERVAL="3600") as process:
        first, second = (handed_over(idle_door, asked(idle_door)) for _ in range(2))
        process.terminate()
        assert process.wait(30) == 0
    assert first != second
    assert "Traceback" not in (idle_door.folder / "dispatcher_console.log").read_text()


def test_a_service_without_a_dispatcher_hands_nothing_over_and_tells_of_no_reconciler(
    idle_door: ServedDoor, door: ServedDoor
) -> None:
    request_id = asked(idle_door)
    # Handed over by a service that does it, a request has a run within a moment.
    handed_over(door, asked(door))
    assert idle_door.request(request_id)["flow_run_id"] is None
    assert LAG in door.client.get("/metrics").text
    assert LAG not in idle_door.client.get("/metrics").raise_for_status().text
    assert idle_door.client.get("/health").raise_for_status().json()["status"] == "healthy"
