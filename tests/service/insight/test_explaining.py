"""The answer to: why is my data not here yet?"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from stager.errors import DestinationBusy, PeerNotReachable, RunLost, SourceChanged, StagingError, StorageFault
from stager.models import StagingItem, StagingRequest, Status
from stager.records.cutting import ShardLimits
from stager.records.events import GOES_ON, Wait, events_of, note_waits, wait_for
from stager.records.items import FileChange, Progress, files_of, note_progress, save_files
from stager.records.leases import acquire_leases
from stager.records.requests import (
    AddedItem,
    add_expanded,
    cancel_request,
    create_request,
    end_expansion,
    get_request,
    renew_requests,
    start_requests,
)
from stager.records.runs import note_trouble, resubmit_requests
from stager.records.tables import Event
from stager.records.tape import release_files

if TYPE_CHECKING:
    from tests.service.conftest import PrefectServer, ServedDoor

pytestmark = pytest.mark.stack

DONE: dict[str, Any] = {"status": Status.COMPLETED, "bytes_done": 1000, "files_done": 1}
REQUEST = StagingRequest(method="local_copy", username="alice", items=(StagingItem(source="a", destination="b"),))
LEFT: dict[str, Any] = {"items": [("a", "a"), ("b", "b")]}


def explain(door: ServedDoor, request_id: str) -> dict[str, Any]:
    return dict(door.client.get(f"/requests/{request_id}/explain").raise_for_status().json())


def told(seen: dict[str, Any]) -> tuple[str, str]:
    return seen["cause"], seen["mended_by"]


@pytest.fixture
def placed(door: ServedDoor, prefect: PrefectServer) -> Callable[[], tuple[str, str, str]]:
    """Return what gives a request whose run waits in a work pool of its own: the request, the run, the pool."""

    def place() -> tuple[str, str, str]:
        pool = f"pool-{uuid.uuid4().hex[:8]}"
        prefect.client.post("/work_pools/", json={"name": pool, "type": "process"}).raise_for_status()
        flow = prefect.client.post("/flows/", json={"name": pool}).raise_for_status().json()
        wanted = {"name": pool, "flow_id": flow["id"], "work_pool_name": pool, "enforce_parameter_schema": False}
        deployment = prefect.client.post("/deployments/", json=wanted).raise_for_status().json()
        run = prefect.client.post(f"/deployments/{deployment['id']}/create_flow_run", json={}).raise_for_status().json()
        return create_request(door.database, REQUEST, flow_run_id=run["id"]).id, run["id"], pool

    return place


def test_a_run_in_prefects_queue_says_what_it_waits_for(
    door: ServedDoor, prefect: PrefectServer, placed: Callable[[], tuple[str, str, str]]
) -> None:
    request_id, run, pool = placed()
    nobody = explain(door, request_id)
    prefect.client.post(f"/work_pools/{pool}/workers/heartbeat", json={"name": "w"}).raise_for_status()
    polled = explain(door, request_id)
    prefect.client.patch(f"/work_pools/{pool}", json={"is_paused": True}).raise_for_status()
    paused = explain(door, request_id)
    prefect.end(run, "PENDING", "pod/x: 0/3 nodes are available: insufficient memory")
    starting = explain(door, request_id)

    assert told(nobody) == ("NoWorker", "operator")
    assert nobody["message"] == f"no worker polls the work pool {pool}: none ever did"
    assert told(polled) == ("QueuedInPrefect", "nobody")
    assert re.fullmatch(
        r"its run waits for the worker w, which last polled at [-\d]+ [:\d]+ UTC, behind 0 other runs",
        polled["message"],
    )
    assert told(paused) == ("PoolPaused", "operator")
    assert told(starting) == ("RunStarting", "nobody")
    assert starting["message"] == "pod/x: 0/3 nodes are available: insufficient memory"


def test_a_run_in_a_paused_queue_says_so(
    door: ServedDoor, prefect: PrefectServer, placed: Callable[[], tuple[str, str, str]]
) -> None:
    _, _, pool = placed()
    queue = {"name": "held", "is_paused": True}
    prefect.client.post(f"/work_pools/{pool}/queues", json=queue).raise_for_status()
    deployment = prefect.client.get(f"/deployments/name/{pool}/{pool}").json()["id"]
    wanted = {"work_queue_name": "held"}
    run = prefect.client.post(f"/deployments/{deployment}/create_flow_run", json=wanted).raise_for_status().json()["id"]
    seen = explain(door, create_request(door.database, REQUEST, flow_run_id=run).id)

    assert (told(seen), seen["message"]) == (("QueuePaused", "operator"), f"the work queue held of {pool} is paused")


def test_a_limit_that_is_reached_is_told_as_what_a_run_waits_for(
    door: ServedDoor, prefect: PrefectServer, placed: Callable[[], tuple[str, str, str]]
) -> None:
    request_id, run, pool = placed()
    prefect.client.post(f"/work_pools/{pool}/workers/heartbeat", json={"name": "w"}).raise_for_status()
    deployment = prefect.client.get(f"/deployments/name/{pool}/{pool}").json()["id"]
    other = prefect.client.post(f"/deployments/{deployment}/create_flow_run", json={}).raise_for_status().json()["id"]
    prefect.end(other, "RUNNING")

    def explained(path: str) -> tuple[str, str, str]:
        prefect.client.patch(path, json={"concurrency_limit": 1}).raise_for_status()
        seen = explain(door, request_id)
        prefect.client.patch(path, json={"concurrency_limit": None}).raise_for_status()
        return (*told(seen), seen["message"])

    full_queue = explained(f"/work_pools/{pool}/queues/default")
    full_pool = explained(f"/work_pools/{pool}")
    state = {"state": {"type": "SCHEDULED", "name": "AwaitingConcurrencySlot"}, "force": True}
    prefect.client.post(f"/flow_runs/{run}/set_state", json=state).raise_for_status()
    full_deployment = explain(door, request_id)

    as_many = "are under way, as many as may be"
    assert full_queue == ("LimitReached", "nobody", f"1 runs of the work queue default of {pool} {as_many}")
    assert full_pool == ("LimitReached", "nobody", f"1 runs of the work pool {pool} {as_many}")
    assert (told(full_deployment), full_deployment["message"]) == (
        ("LimitReached", "nobody"),
        "as many runs of its deployment are under way as may be",
    )


def test_what_waits_for_a_users_own_run_says_so(door: ServedDoor) -> None:
    username = "alice"
    first = door.ask().json()["request_id"]
    door.eventually(first, lambda seen: seen["flow_run_id"])
    door.keep_behind(first)
    seen = explain(door, door.ask().json()["request_id"])

    assert told(seen) == ("WaitsForTurn", "nobody")
    assert f"a run of {username} has not begun yet" in seen["message"]
    cancel_request(door.database, first)


def test_prefect_that_is_away_is_named(lone_door: ServedDoor) -> None:
    request_id = lone_door.ask().json()["request_id"]
    lone_door.eventually(request_id, lambda _: explain(lone_door, request_id)["cause"] != "WaitsForTurn")

    seen = explain(lone_door, request_id)

    assert told(seen) == ("PrefectUnavailable", "operator")
    assert seen["message"].startswith("Prefect does not answer: ")


@pytest.mark.parametrize(
    ("kind", "error", "mended_by"),
    [
        ("retrying", StorageFault("/storage/a.fits", "Input/output error (EIO)"), "operator"),
        ("retrying", SourceChanged("/storage/a.fits", "it grew"), "nobody"),
        ("waiting", DestinationBusy("/users/alice/a.fits", "request 1"), "nobody"),
    ],
)
def test_a_retry_says_after_which_error_and_when(
    lone_door: ServedDoor, kind: str, error: StagingError, mended_by: str
) -> None:
    request_id = lone_door.ask().json()["request_id"]
    start_requests(lone_door.database, [request_id], flow_run_id="run", acting_as="alice")
    note_waits(lone_door.database, {request_id: wait_for(error)}, kind=kind, seconds=3600)
    seen = explain(lone_door, request_id)

    assert told(seen) == (type(error).__name__, mended_by)
    assert seen["message"] == error.message
    left = datetime.fromisoformat(seen["until"]) - datetime.now(UTC)
    assert timedelta(minutes=55) < left <= timedelta(hours=1)


def test_a_start_is_told_with_its_hubs_last_word_and_since_when_it_goes_on(lone_door: ServedDoor) -> None:
    request_id = lone_door.ask().json()["request_id"]
    start_requests(lone_door.database, [request_id], flow_run_id="run", acting_as="alice")
    title = "The notebook server of alice is starting"
    for said in (title, f"{title}: Waiting for a machine (40 %)"):
        note_waits(lone_door.database, {request_id: Wait("NotebookStarting", said)}, kind="starting")
    seen = explain(lone_door, request_id)

    assert told(seen) == ("NotebookStarting", "nobody")
    assert re.fullmatch(rf"{title}: Waiting for a machine \(40 %\), since \d+ s", seen["message"])
    assert datetime.fromisoformat(seen["since"]) == first_event(lone_door, request_id, "starting").at
    note_waits(lone_door.database, {request_id: GOES_ON}, kind="waited")
    assert told(explain(lone_door, request_id)) == ("Working", "nobody")


def test_what_fails_again_and_again_is_told_since_the_first_time(lone_door: ServedDoor) -> None:
    request_id = lone_door.ask().json()["request_id"]
    start_requests(lone_door.database, [request_id], flow_run_id="run", acting_as="alice")
    away = wait_for(PeerNotReachable("The notebook hub https://hub.example.org", "nobody listens there"))
    for wait in (wait_for(StorageFault("a", "stale")), away, away):
        note_waits(lone_door.database, {request_id: wait}, kind="retrying", seconds=3600)
    seen = explain(lone_door, request_id)

    assert told(seen) == ("PeerNotReachable", "operator")
    assert re.fullmatch(rf"{re.escape(away.detail)}, since \d+ s", seen["message"])
    first = first_event(lone_door, request_id, "retrying", cause="PeerNotReachable")
    assert datetime.fromisoformat(seen["since"]) == first.at


def first_event(door: ServedDoor, request_id: str, kind: str, **about: str) -> Event:
    events = [event for event in events_of(door.database, request_id) if event.kind == kind]
    return next(event for event in events if all(getattr(event, name) == value for name, value in about.items()))


def test_a_try_that_is_over_counts_no_more(lone_door: ServedDoor) -> None:
    request_id = lone_door.ask().json()["request_id"]
    start_requests(lone_door.database, [request_id], flow_run_id="run", acting_as="alice")
    note_waits(lone_door.database, {request_id: wait_for(StorageFault("a"))}, kind="retrying", seconds=-60)

    assert told(explain(lone_door, request_id)) == ("Working", "nobody")
    cancel_request(lone_door.database, request_id)
    assert told(explain(lone_door, request_id)) == ("Stopping", "nobody")


def test_a_run_that_fell_silent_is_not_told_as_working(lone_door: ServedDoor) -> None:
    request_id = lone_door.ask().json()["request_id"]
    start_requests(lone_door.database, [request_id], flow_run_id="run", acting_as="alice")
    renew_requests(lone_door.database, [request_id], seconds=60)
    lively = explain(lone_door, request_id)
    renew_requests(lone_door.database, [request_id], seconds=-60)
    silent = explain(lone_door, request_id)

    assert told(lively) == ("Working", "nobody")
    assert told(silent) == ("RunSilent", "nobody")
    assert silent["message"].startswith("its run has sent no heartbeat since ")


def test_what_is_being_listed_is_told_with_how_many_items_were_added(lone_door: ServedDoor) -> None:
    wanted = {"source": "night", "destination": "out", "expand": "directory"}
    body = {"method": "local_copy", "username": "alice", "items": [wanted, {"source": "a", "destination": "b"}]}
    request_id = lone_door.client.post("/requests", json=body).raise_for_status().json()["request_id"]
    start_requests(lone_door.database, [request_id], flow_run_id="run", acting_as="alice")
    waits = explain(lone_door, request_id)
    night, _ = files_of(lone_door.database, request_id)
    holder, limits = "run/1", ShardLimits(items=100, size_bytes=100)
    acquire_leases(lone_door.database, [night], holder=holder, seconds=3600)
    save_files(lone_door.database, [FileChange(id=night.id, status=Status.STARTED)])
    begun = explain(lone_door, request_id)
    added = [AddedItem(StagingItem(source=f"night/{name}", destination=f"out/{name}"), 1) for name in "ab"]
    night = add_expanded(lone_door.database, night, added, holder=holder, limits=limits, most_items=10)
    seen = explain(lone_door, request_id)
    end_expansion(lone_door.database, night, None, holder=holder, limits=limits)

    assert told(waits) == ("Working", "nobody")
    assert told(begun) == told(seen) == ("Expanding", "nobody")
    listing = "its run lists night, which item 0 asks for file by file"
    assert [one["message"] for one in (begun, seen)] == [f"{listing}; {n} items were added so far" for n in (0, 2)]
    assert told(explain(lone_door, request_id)) == ("Working", "nobody")


def source_of(door: ServedDoor, row: dict[str, Any]) -> str:
    return str(door.request(row["request_id"])["items"][0]["source"])


def test_a_download_says_that_its_bytes_are_being_sent(lone_door: ServedDoor) -> None:
    with (lone_door.source / "endless").open("wb") as file:
        file.truncate(4 << 30)
    body = {"data": {"local_path_on_storage": "endless", "relative_path": "b"}}
    who = {"method": "direct_download", "username": "alice"}
    with lone_door.client.stream("POST", "/stage_data", params=who, json=body) as answer:
        arriving = answer.iter_raw()  # whoever drops it hangs up
        next(arriving)
        query = {"method": "direct_download", "status": "started"}
        rows = lone_door.client.get("/requests", params=query).json()["requests"]  # others may not have ended yet
        [seen] = [explain(lone_door, row["request_id"]) for row in rows if source_of(lone_door, row) == "endless"]

    assert (told(seen), seen["message"]) == (("Sending", "nobody"), "its bytes are being sent to the caller")


def test_a_pod_that_is_pending_is_told_in_kubernetes_own_words(lone_door: ServedDoor) -> None:
    request_id = create_request(lone_door.database, REQUEST, flow_run_id="run").id
    said = "no node can take its pod: 0/3 nodes are available: 3 Insufficient memory"
    note_trouble(lone_door.database, "run", cause="Unschedulable", detail=said)

    seen = explain(lone_door, request_id)
    assert (told(seen), seen["message"], seen["until"]) == (("Unschedulable", "operator"), said, None)


@pytest.mark.parametrize(
    ("error", "mended_by"),
    [
        ("QuotaExceeded", "you"),
        ("SourceNotFound", "you"),
        ("NoSpace", "operator"),
        ("DestinationDiffers", "you"),
        ("StorageFault", "operator"),
    ],
)
def test_what_failed_says_of_what_and_who_can_mend_it(lone_door: ServedDoor, error: str, mended_by: str) -> None:
    request_id = lone_door.ask().json()["request_id"]
    lone_door.end(request_id, {"status": Status.FAILED, "error_type": error, "error_reason": "the reason"})
    seen = explain(lone_door, request_id)

    assert (told(seen), seen["message"]) == ((error, mended_by), "the reason")
    assert (seen["items_left"], seen["estimate"]) == (0, None)


def test_a_release_does_not_hide_why_it_failed(lone_door: ServedDoor) -> None:
    request_id = lone_door.ask().json()["request_id"]
    lone_door.end(request_id, {"status": Status.FAILED, "error_type": "NoSpace", "error_reason": "No space"})
    [file] = files_of(lone_door.database, request_id)
    release_files(lone_door.database, request_id, [file.local_path_on_storage])

    assert told(explain(lone_door, request_id)) == ("NoSpace", "operator")


def test_a_request_whose_run_died_says_of_what(lone_door: ServedDoor) -> None:
    request_id = create_request(lone_door.database, REQUEST, flow_run_id="run").id
    resubmit_requests(lone_door.database, "run", RunLost("its pod was killed"))
    seen = explain(lone_door, request_id)

    assert (told(seen), seen["crashes"]) == (("RunLost", "nobody"), 1)
    assert seen["message"] == "its pod was killed; it waits for another run"


def test_an_estimate_is_a_range_measured_on_what_the_last_ones_took(narrow_door: ServedDoor) -> None:
    for _ in range(3):
        narrow_door.end(narrow_door.ask().json()["request_id"], DONE)
    request_id = narrow_door.ask(("a", "a"), ("b", "b")).json()["request_id"]
    start_requests(narrow_door.database, [request_id], flow_run_id="run", acting_as="alice")
    unknown = explain(narrow_door, request_id)
    files = files_of(narrow_door.database, request_id)
    note_progress(narrow_door.database, [Progress(file.id, 400, 0, 1000, 1) for file in files])
    known = explain(narrow_door, request_id)

    assert (unknown["items_left"], unknown["bytes_left"], unknown["estimate"]["measured_by"]) == (2, None, "items")
    assert (known["bytes_left"], known["estimate"]["measured_by"], known["estimate"]["measured_on"]) == (
        1200,
        "bytes",
        3,
    )
    assert known["estimate"]["earliest"] <= known["estimate"]["latest"]


def test_with_nothing_to_measure_on_there_is_no_estimate(narrow_door: ServedDoor) -> None:
    assert explain(narrow_door, narrow_door.ask().json()["request_id"])["estimate"] is None


def test_lists_say_why_in_short(lone_door: ServedDoor) -> None:
    failed, waits = (lone_door.ask().json()["request_id"] for _ in range(2))
    lone_door.end(failed, {"status": Status.FAILED, "error_type": "NoSpace", "error_reason": "No space"})
    rows = lone_door.client.get("/requests", params={"limit": 10}).json()["requests"]

    why = {row["request_id"]: row["why"] for row in rows}
    assert (told(why[failed]), why[failed]["message"]) == (("NoSpace", "operator"), "No space")
    assert why[waits]["cause"] in {"WaitsForTurn", "HandedOver"}
    assert get_request(lone_door.database, waits).status is Status.SUBMITTED
