"""Nothing that was recorded is forgotten; Prefect is real, and cut off for real."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert

from stager.models import StagingItem, StagingRequest, Status
from stager.records.events import events_of
from stager.records.items import FileChange, files_of, save_files
from stager.records.leases import acquire_leases, release_leases
from stager.records.requests import (
    adopt_requests,
    cancel_request,
    close_requests,
    create_request,
    get_request,
    renew_requests,
    start_requests,
)
from stager.records.tables import StagingRequestRow
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from tests.service.conftest import Gate, PrefectServer, ServedDoor

pytestmark = [pytest.mark.any_database, pytest.mark.stack]


def record(
    door: ServedDoor, method: str = "local_copy", username: str = "alice", flow_run_id: str | None = None
) -> str:
    """Record a request that nobody hands to Prefect, or that somebody has."""
    items = (StagingItem(source="a", destination="b"),)
    request = StagingRequest(method=method, username=username, items=items)
    return create_request(door.database, request, flow_run_id=flow_run_id).id


def running(door: ServedDoor, prefect: PrefectServer, *, alive_for: float = 0.0) -> tuple[str, str]:
    """Return the ids of a request and of its run, which has begun and, unless it says for how long, is silent."""
    request_id = record(door)
    renew_requests(door.database, [request_id], seconds=600)  # nobody takes it for dead before it has begun
    flow_run_id = str(door.eventually(request_id, lambda seen: seen["flow_run_id"])["flow_run_id"])
    prefect.end(flow_run_id, "RUNNING")
    start_requests(door.database, [request_id], flow_run_id=flow_run_id, acting_as="alice")
    renew_requests(door.database, [request_id], seconds=alive_for)  # its last sign of life
    return request_id, flow_run_id


def crowd(door: ServedDoor, request_id: str, count: int, **facts: object) -> None:
    """Record many requests more, like one that is there."""
    like = get_request(door.database, request_id).model_dump() | facts
    rows = [{**like, "id": f"{number:032x}"} for number in range(count)]
    door.database.write(lambda session: session.execute(insert(StagingRequestRow), rows) and None)
    adopt_requests(door.database, [row["id"] for row in rows])


def taken_up(door: ServedDoor, request_id: str, dead: str | None) -> str:
    """Return the id of the run that takes a request up after another has died."""
    return str(door.eventually(request_id, lambda seen: seen["flow_run_id"] not in {None, dead})["flow_run_id"])


def is_final(seen: dict[str, Any]) -> bool:
    return Status(seen["status"]).is_final


def test_a_request_made_while_prefect_is_away_runs_once_when_it_is_back(
    door: ServedDoor, prefect: PrefectServer, gate: Gate
) -> None:
    gate.is_open = False
    request_id = record(door)
    assert door.client.get("/health").status_code == 503
    assert door.request(request_id)["status"] == "submitted"
    assert prefect.runs(request_id) == []

    gate.is_open = True
    seen = door.eventually(request_id, lambda seen: seen["flow_run_id"])

    assert [run["id"] for run in prefect.runs(request_id)] == [seen["flow_run_id"]]


def test_what_a_user_asks_for_while_their_run_has_not_begun_goes_into_the_next(
    door: ServedDoor, prefect: PrefectServer
) -> None:
    first = record(door)
    run = door.eventually(first, lambda seen: seen["flow_run_id"])["flow_run_id"]
    door.keep_behind(first)
    later = [record(door) for _ in range(4)]
    others = record(door, username="bob")
    door.eventually(others, lambda seen: seen["flow_run_id"])
    assert {door.request(request_id)["flow_run_id"] for request_id in later} == {None}

    start_requests(door.database, [first], flow_run_id=run, acting_as="alice")
    runs = {door.eventually(request_id, lambda seen: seen["flow_run_id"])["flow_run_id"] for request_id in later}

    assert len(runs) == 1
    [shared] = [prefect.client.get(f"/flow_runs/{run}").json() for run in runs]
    assert shared["parameters"] == {"request_ids": later}


def test_a_lost_answer_makes_no_second_run(door: ServedDoor, prefect: PrefectServer, gate: Gate) -> None:
    gate.loses_answer_to = b"create_flow_run"
    request_id = record(door)
    deadline = time.monotonic() + PATIENCE
    while not (gate.lost and prefect.runs(request_id)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert door.request(request_id)["flow_run_id"] is None

    gate.loses_answer_to = b""
    seen = door.eventually(request_id, lambda seen: seen["flow_run_id"])

    assert [run["id"] for run in prefect.runs(request_id)] == [seen["flow_run_id"]]


@pytest.mark.parametrize(
    ("state", "status", "reason"),
    [
        ("FAILED", "failed", "the run failed: the pod was evicted"),
        ("CANCELLED", "cancelled", "the run was cancelled: the pod was evicted"),
        ("COMPLETED", "failed", "the run ended without recording an outcome: the pod was evicted"),
    ],
)
def test_a_run_that_is_over_closes_its_record_with_the_reason(
    door: ServedDoor, prefect: PrefectServer, state: str, status: int, reason: str
) -> None:
    request_id, flow_run_id = running(door, prefect)

    prefect.end(flow_run_id, state, "the pod was evicted")

    seen = door.eventually(request_id, is_final)
    assert (seen["status"], seen["error_reason"]) == (status, reason)
    assert [item["status"] for item in seen["items"]] == [status]


def test_a_request_whose_run_crashed_runs_again_until_too_many_have(door: ServedDoor, prefect: PrefectServer) -> None:
    request_id, run = running(door, prefect)
    for _ in range(2):
        prefect.end(run, "CRASHED", "the pod was evicted")
        run = taken_up(door, request_id, run)
        start_requests(door.database, [request_id], flow_run_id=run, acting_as="alice")

    prefect.end(run, "CRASHED", "the pod was evicted")

    seen = door.eventually(request_id, is_final)
    assert (seen["status"], seen["error_reason"]) == ("failed", "the run crashed: the pod was evicted")
    assert [event.kind for event in events_of(door.database, request_id)].count("resubmitted") == 2


def test_a_request_whose_run_could_not_begin_runs_again_until_too_many_could_not(
    door: ServedDoor, prefect: PrefectServer
) -> None:
    request_id, run = record(door), None
    for _ in range(3):
        run = taken_up(door, request_id, run)
        prefect.end(run, "FAILED", "Validation of flow parameters failed")

    seen = door.eventually(request_id, is_final)
    assert (seen["status"], seen["error_reason"]) == (
        "failed",
        "the run failed: Validation of flow parameters failed",
    )
    assert [event.kind for event in events_of(door.database, request_id)].count("resubmitted") == 2


def test_a_run_that_was_deleted_closes_its_record(door: ServedDoor, prefect: PrefectServer) -> None:
    request_id, flow_run_id = running(door, prefect)

    prefect.delete(flow_run_id)

    assert door.eventually(request_id, is_final)["error_reason"] == "the run was deleted in Prefect"


def test_a_run_that_prefect_still_runs_is_left_alone(door: ServedDoor, prefect: PrefectServer) -> None:
    left, _ = running(door, prefect)
    closed, flow_run_id = running(door, prefect)

    prefect.end(flow_run_id, "FAILED")
    door.eventually(closed, is_final)

    assert door.request(left)["status"] == "started"
    close_requests(door.database, [left])


def test_a_writer_that_lives_is_left_alone_whatever_prefect_says(door: ServedDoor, prefect: PrefectServer) -> None:
    alive, flow_run_id = running(door, prefect)
    acquire_leases(door.database, files_of(door.database, alive), holder="a living run", seconds=600)
    prefect.end(flow_run_id, "FAILED", "heartbeats stopped")
    silent, other_run_id = running(door, prefect)
    prefect.end(other_run_id, "FAILED", "heartbeats stopped")

    door.eventually(silent, is_final)
    assert door.request(alive)["status"] == "started"

    release_leases(door.database, holder="a living run")
    assert door.eventually(alive, is_final)["error_reason"] == "the run failed: heartbeats stopped"


def test_a_record_that_its_run_closed_keeps_its_ending(door: ServedDoor, prefect: PrefectServer) -> None:
    request_id, flow_run_id = running(door, prefect)
    (file,) = files_of(door.database, request_id)
    save_files(door.database, [FileChange(id=file.id, status=Status.COMPLETED)])
    close_requests(door.database, [request_id])

    prefect.end(flow_run_id, "CRASHED", "too late")
    other, other_run_id = running(door, prefect)
    prefect.end(other_run_id, "FAILED")
    door.eventually(other, is_final)

    assert get_request(door.database, request_id).status is Status.COMPLETED
    assert [event.kind for event in events_of(door.database, request_id)][-1] == "completed"


def test_a_request_whose_deployment_is_missing_waits_for_it(door: ServedDoor, prefect: PrefectServer) -> None:
    request_id = record(door, "local_symlink")
    other, flow_run_id = running(door, prefect)  # the reconciler goes on meanwhile
    prefect.end(flow_run_id, "FAILED")
    door.eventually(other, is_final)
    assert door.request(request_id)["status"] == "submitted"

    prefect.register("local-symlink")

    assert door.eventually(request_id, lambda seen: seen["flow_run_id"])["status"] == "submitted"


def test_a_deployment_that_was_registered_anew_is_found_again(door: ServedDoor, prefect: PrefectServer) -> None:
    door.eventually(record(door), lambda seen: seen["flow_run_id"])
    found = prefect.client.get("/deployments/name/local-copy/local-copy-from-api").json()
    prefect.client.delete(f"/deployments/{found['id']}").raise_for_status()
    prefect.register("local-copy")

    request_id = record(door)

    assert door.eventually(request_id, lambda seen: seen["flow_run_id"])
    assert len(prefect.runs(request_id)) == 1


def test_a_run_that_prefect_refuses_closes_the_request_with_prefects_words(
    door: ServedDoor, prefect: PrefectServer
) -> None:
    flow = prefect.client.post("/flows/", json={"name": "symlink-copy"}).json()
    schema = {"type": "object", "properties": {"nothing": {"type": "string"}}, "additionalProperties": False}
    deployment = {"name": "symlink-copy-from-api", "flow_id": flow["id"], "parameter_openapi_schema": schema}
    prefect.client.post("/deployments/", json={**deployment, "enforce_parameter_schema": True}).raise_for_status()

    seen = door.eventually(record(door, "symlink_copy"), is_final)

    assert seen["status"] == "failed"
    assert seen["error_reason"].startswith("Prefect refused the run: ")


def test_a_request_that_another_process_handed_over_is_not_handed_over_again(
    door: ServedDoor, prefect: PrefectServer
) -> None:
    request_id = record(door, flow_run_id="00000000-0000-0000-0000-000000000000")

    seen = door.eventually(request_id, is_final)  # Prefect does not know that run

    assert seen["error_reason"] == "the run was deleted in Prefect"
    assert prefect.runs(request_id) == []


def test_a_run_whose_machine_died_is_ended_in_prefect_and_its_request_runs_again(
    brief_door: ServedDoor, prefect: PrefectServer
) -> None:
    request_id, flow_run_id = running(brief_door, prefect)

    taken_up(brief_door, request_id, flow_run_id)

    state = prefect.client.get(f"/flow_runs/{flow_run_id}").json()["state"]
    assert (state["type"], state["message"].partition(": it has sent")[0]) == ("CRASHED", "its machine died")


def test_a_run_that_a_machine_took_up_and_never_began_runs_again(
    brief_door: ServedDoor, prefect: PrefectServer
) -> None:
    request_id = record(brief_door)
    flow_run_id = taken_up(brief_door, request_id, "")
    prefect.end(flow_run_id, "PENDING")

    taken_up(brief_door, request_id, flow_run_id)

    assert prefect.client.get(f"/flow_runs/{flow_run_id}").json()["state_type"] == "CRASHED"


def test_a_cancelled_run_whose_machine_died_is_cancelled_in_prefect_and_on_record(
    brief_door: ServedDoor, prefect: PrefectServer
) -> None:
    request_id, flow_run_id = running(brief_door, prefect, alive_for=600)
    prefect.end(flow_run_id, "CANCELLING")
    renew_requests(brief_door.database, [request_id], seconds=0)

    seen = brief_door.eventually(request_id, is_final)

    assert prefect.client.get(f"/flow_runs/{flow_run_id}").json()["state_type"] == "CANCELLED"
    reason = seen["error_reason"].partition(": it has sent")[0]
    assert (seen["status"], reason) == ("cancelled", "the run was cancelled: its machine died")


def test_a_run_that_says_that_it_lives_is_left_alone(brief_door: ServedDoor, prefect: PrefectServer) -> None:
    alive, flow_run_id = running(brief_door, prefect, alive_for=600)
    silent, dead = running(brief_door, prefect)

    taken_up(brief_door, silent, dead)

    assert brief_door.request(alive)["status"] == "started"
    assert prefect.client.get(f"/flow_runs/{flow_run_id}").json()["state_type"] == "RUNNING"


def test_a_dead_run_that_was_asked_to_cancel_was_cancelled(brief_door: ServedDoor, prefect: PrefectServer) -> None:
    request_id, _ = running(brief_door, prefect, alive_for=600)
    cancel_request(brief_door.database, request_id)
    renew_requests(brief_door.database, [request_id], seconds=0)

    assert brief_door.eventually(request_id, is_final)["status"] == "cancelled"


def test_a_thousand_requests_that_cannot_be_run_hold_up_no_other(
    brief_door: ServedDoor, prefect: PrefectServer
) -> None:
    crowd(brief_door, record(brief_door), 1001, method="no_such_method")
    behind = record(brief_door, username="bob")

    assert brief_door.eventually(behind, lambda seen: seen["flow_run_id"])
    assert len(prefect.runs(behind)) == 1


def test_a_download_whose_service_died_is_closed_behind_a_thousand_that_live(brief_door: ServedDoor) -> None:
    silent = record(brief_door, "direct_download")
    start_requests(brief_door.database, [silent], flow_run_id=None, acting_as="nobody")
    much_later = get_request(brief_door.database, silent).created_at + timedelta(days=1)
    crowd(brief_door, silent, 1001, alive_until=much_later)

    seen = brief_door.eventually(silent, is_final)

    assert seen["error_reason"] == "the service stopped before the download ended"
    assert brief_door.request(f"{0:032x}")["status"] == "started"
