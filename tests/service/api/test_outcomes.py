"""What a caller is told when the run has ended; the test plays the run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from stager.models import Status
from stager.records.items import files_of, save_files
from stager.records.requests import close_requests, start_requests
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from tests.service.conftest import PrefectServer, ServedDoor

pytestmark = pytest.mark.stack


def run_of(door: ServedDoor, destination: str) -> dict[str, Any]:
    """Wait for the request of a destination to have its run, and return it."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for found in door.client.get("/requests", params={"limit": 20}).json()["requests"]:
            seen = door.request(found["request_id"])
            if seen["items"][0]["destination"] == destination and seen["flow_run_id"]:
                return seen
        time.sleep(0.05)
    raise AssertionError(destination)


def play(door: ServedDoor, destination: str, change: dict[str, Any]) -> None:
    """Do what the run does: start the request, save its item, close it."""
    seen = run_of(door, destination)
    start_requests(door.database, [seen["request_id"]], flow_run_id=seen["flow_run_id"], acting_as="alice")
    (file,) = files_of(door.database, seen["request_id"])
    changed: list[Any] = [change | {"id": file.id}]
    save_files(door.database, changed)
    close_requests(door.database, [seen["request_id"]])


@pytest.fixture
def staged(door: ServedDoor) -> Callable[..., Any]:
    def stage(change: dict[str, Any], **call: Any) -> Any:
        destination = f"{threading.get_native_id()}-{time.monotonic_ns()}"
        with ThreadPoolExecutor() as threads:
            answer = threads.submit(door.stage, destination=destination, **call)
            play(door, destination, change)
            return answer.result(), destination

    return stage


def test_success_is_told_in_the_demos_words(staged: Callable[..., Any]) -> None:
    answer, _ = staged({"status": Status.COMPLETED})

    assert answer.status_code == 200
    assert answer.json() == {"status": "success", "message": "Data staged for user alice with method local_copy"}


def test_a_duplicate_is_told_in_the_demos_words(staged: Callable[..., Any], door: ServedDoor) -> None:
    answer, destination = staged({"status": Status.SKIPPED})

    place = f"{door.user_areas}/alice/{destination}"
    assert answer.status_code == 200
    assert answer.json() == {"status": "success", "message": f"Data already available at {place}"}


@pytest.mark.parametrize(
    ("error_type", "status"),
    [
        ("SourceNotFound", 400),
        ("PathOutsideArea", 403),
        ("DestinationDiffers", 409),
        ("NoSpace", 507),
        ("StorageFault", 503),
        ("UnforeseenError", 500),
        ("NobodyKnowsThis", 500),
    ],
)
def test_a_failure_answers_with_its_classs_status_and_its_sentence(
    staged: Callable[..., Any], error_type: str, status: int
) -> None:
    reason = "Source path does not exist: /storage/a.fits"
    answer, _ = staged({"status": Status.FAILED, "error_reason": reason, "error_type": error_type})

    assert answer.status_code == status
    assert answer.json()["detail"] == reason
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_run_in_prefect_has_a_name_that_a_person_understands(
    door: ServedDoor, prefect: PrefectServer, staged: Callable[..., Any]
) -> None:
    _, destination = staged({"status": Status.COMPLETED})

    seen = run_of(door, destination)
    (run,) = prefect.runs(seen["request_id"])
    assert run["name"] == f"alice local_copy {seen['request_id'][-4:]}"
    assert seen["flow_run_url"].endswith(f"/runs/flow-run/{run['id']}")
    assert seen["flow_run_url"].startswith(prefect.gated_api.removesuffix("/api"))


def test_a_cancelled_request_says_so(door: ServedDoor, prefect: PrefectServer) -> None:
    with ThreadPoolExecutor() as threads:
        answer = threads.submit(door.stage, destination="cancel-me")
        prefect.end(run_of(door, "cancel-me")["flow_run_id"], "CANCELLED")

        assert answer.result().status_code == 409
        assert answer.result().json()["detail"] == "the run was cancelled"
