"""A product goes from the storage to the user through Prefect, by every way in."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tasks.shown import as_text
from tests.patience import PATIENCE
from tests.stack.conftest import wait_until

if TYPE_CHECKING:
    from tests.stack.conftest import Stack

pytestmark = pytest.mark.stack


def test_a_fits_file_arrives_verified_read_only_and_recorded(stack: Stack) -> None:
    source = min((stack.storage / "demo/fits").glob("*.fits"))
    answer = stack.stage(f"demo/fits/{source.name}", "a.fits")
    assert answer.json() == {"status": "success", "message": "Data staged for user nobody with method local_copy"}
    copy = stack.user_area / "a.fits"
    assert copy.read_bytes() == source.read_bytes()
    assert copy.stat().st_mode & 0o7777 == 0o400
    record = stack.client.get(f"{stack.http}/requests/{stack.records()[0]['request_id']}").json()
    (item,) = record["items"]
    assert (record["status"], item["status"]) == ("completed", "completed")
    assert item["checksum"] == f"{zlib.adler32(source.read_bytes()):08x}"


def test_a_measurement_set_arrives_whole(stack: Stack) -> None:
    assert stack.stage("demo/demo.ms", "demo.ms").status_code == 200
    there, here = stack.storage / "demo/demo.ms", stack.user_area / "demo.ms"
    assert _content(here) == _content(there)
    assert {path.stat().st_mode & 0o777 for path in (here, *here.rglob("*"))} == {0o400, 0o500}
    if os.geteuid() == 0:
        assert {path.owner() for path in (here, *here.rglob("*"))} == {"nobody"}


def test_a_duplicate_is_a_success_that_says_so(stack: Stack) -> None:
    stack.stage("demo/demo.ms", "twice.ms")
    answer = stack.stage("demo/demo.ms", "twice.ms")
    assert answer.json() == {"status": "success", "message": f"Data already available at {stack.user_area}/twice.ms"}
    assert stack.records()[0]["status"] == "skipped"


def test_a_missing_source_is_said_in_the_demos_words_and_in_prefect(stack: Stack) -> None:
    answer = stack.stage("demo/missing.ms", "missing.ms")
    sentence = f"Source path does not exist: {stack.storage}/demo/missing.ms"
    assert (answer.status_code, answer.json()["detail"]) == (400, sentence)
    record = stack.records()[0]
    assert (record["status"], record["error_reason"]) == ("failed", sentence)
    assert stack.wait_for(str(record["flow_run_id"]), "FAILED")["message"] == sentence


def test_a_symbolic_link_leads_to_the_source(stack: Stack) -> None:
    assert stack.stage("demo/fits", "fits", method="local_symlink").status_code == 200
    assert (stack.user_area / "fits").readlink() == stack.storage / "demo/fits"


def test_a_run_from_prefects_form_leaves_the_same_record(stack: Stack) -> None:
    form = {
        "method": "local_copy",
        "username": "nobody",
        "items": [
            {"source": "demo/demo.ms/table.dat", "destination": "form/table.dat"},
            {"source": "demo/missing", "destination": "form/missing"},
        ],
    }
    flow_run_id = stack.run("local-copy", {"request": form})
    state = stack.wait_for(flow_run_id, "FAILED", "COMPLETED")
    assert state["type"] == "FAILED"
    assert state["message"].startswith("1 of 2 items failed: Source path does not exist")
    record = next(row for row in stack.records() if row["flow_run_id"] == flow_run_id)
    assert (record["status"], record["error_reason"]) == ("failed", state["message"])
    assert (stack.user_area / "form/table.dat").exists()


# What differs from record to record of one and the same staging.
OF_ITS_OWN = {
    "request_id",
    "origin",
    "flow_run_id",
    "flow_run_url",
    "created_at",
    "started_at",
    "finished_at",
    "destination",
    "seen_at",
    "code",
}


def form_for(destination: str) -> dict[str, object]:
    return {"username": "nobody", "items": [{"source": "demo/demo.ms/table.dat", "destination": destination}]}


def record_of(stack: Stack, destination: str) -> dict[str, Any] | None:
    """Return the first closed record of a request for a destination, without what is its own."""
    for row in reversed(stack.records()):
        record = stack.client.get(f"{stack.http}/requests/{row['request_id']}").json()
        if record["items"][0]["destination"] == destination and record["finished_at"]:
            record["items"] = [_shared(item) for item in record["items"]]
            return _shared(record)
    return None


def _shared(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name not in OF_ITS_OWN}


def test_all_terms_of_the_form_are_on_record(stack: Stack) -> None:
    terms = {
        "on_conflict": "replace",
        "deadline": "2099-01-01T12:00:00+01:00",
        "lifetime": 86_400,
        "priority": 3,
        "note": "for the survey",
    }
    stack.run("local-copy", {"request": form_for("terms/form") | terms})
    wait_until(lambda: record_of(stack, "terms/form") is not None)
    record = record_of(stack, "terms/form")
    assert record is not None
    assert {name: record[name] for name in terms} == terms | {"deadline": "2099-01-01T11:00:00Z"}


def test_the_api_and_the_form_leave_the_same_record(stack: Stack) -> None:
    stack.stage("demo/demo.ms/table.dat", "ways/api")
    stack.run("local-copy", {"request": form_for("ways/form")})
    wait_until(lambda: record_of(stack, "ways/form") is not None)
    api, form = record_of(stack, "ways/api"), record_of(stack, "ways/form")
    assert api is not None
    assert api["status"] == "completed"
    assert form == api
    copies = {path.name: path.read_bytes() for path in (stack.user_area / "ways").iterdir()}
    assert len(copies) == 2
    assert len(set(copies.values())) == 1


@contextmanager
def scheduled(stack: Stack, name: str, parameters: dict[str, object]) -> Iterator[None]:
    """Have a deployment run each half minute while the body runs."""
    schedules = f"{stack.prefect}/api/deployments/{stack.deployment(name)}/schedules"
    asked = [{"schedule": {"interval": 30}, "active": True, "parameters": parameters}]
    [made] = stack.client.post(schedules, json=asked).raise_for_status().json()
    try:
        yield
    finally:
        stack.client.delete(f"{schedules}/{made['id']}").raise_for_status()


def test_a_schedules_run_leaves_the_same_record(stack: Stack) -> None:
    stack.stage("demo/demo.ms/table.dat", "schedule/api")
    with scheduled(stack, "local-copy", {"request": form_for("schedule/scheduled")}):
        wait_until(lambda: record_of(stack, "schedule/scheduled") is not None)
    api, of_the_schedule = record_of(stack, "schedule/api"), record_of(stack, "schedule/scheduled")
    assert api is not None
    assert api["status"] == "completed"
    assert of_the_schedule == api
    source, copy = stack.storage / "demo/demo.ms/table.dat", stack.user_area / "schedule/scheduled"
    assert copy.read_bytes() == source.read_bytes()


def test_the_sweep_is_scheduled_each_night(stack: Stack) -> None:
    wanted = {"deployments": {"name": {"any_": ["sweep"]}}, "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}

    def times() -> set[str]:
        runs = stack.client.post(f"{stack.prefect}/api/flow_runs/filter", json=wanted).raise_for_status().json()
        return {run["expected_start_time"] for run in runs}

    wait_until(lambda: len(times()) > 1)
    assert {datetime.fromisoformat(time).strftime("%H:%M %Z") for time in times()} == {"03:23 UTC"}


def test_the_line_that_is_printed_stages_the_measurement_set(stack: Stack) -> None:
    [line] = [line for line in (stack.folder / "console.log").read_text().splitlines() if line.startswith("    curl ")]
    said = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=True, timeout=PATIENCE).stdout
    user = pwd.getpwuid(os.geteuid()).pw_name
    assert json.loads(said)["message"] == f"Data staged for user {user} with method local_copy"
    assert _content(stack.folder / f"user_areas/{user}/demo.ms") == _content(stack.storage / "demo/demo.ms")


def test_nothing_is_told_to_anybody_outside(stack: Stack) -> None:
    assert stack.client.get(f"{stack.prefect}/api/admin/settings").json()["server"]["analytics_enabled"] is False


def test_a_work_queue_can_be_paused_in_prefect(stack: Stack) -> None:
    queues = f"{stack.prefect}/api/work_pools/staging/queues"
    stack.client.post(queues, json={"name": "of-a-test"}).raise_for_status()
    try:
        for is_paused in (True, False):
            stack.client.patch(f"{queues}/of-a-test", json={"is_paused": is_paused}).raise_for_status()
            queue = stack.client.get(f"{queues}/of-a-test").json()
            # Its status is another matter: a worker's poll that was on its way marks it ready, paused or not.
            assert queue["is_paused"] is is_paused
    finally:
        stack.client.delete(f"{queues}/of-a-test").raise_for_status()


def test_a_chosen_storage_area_counts(stack: Stack) -> None:
    blocks = stack.client.get(f"{stack.prefect}/api/block_types/slug/storage-area/block_documents").json()
    by_name = {block["name"]: block["id"] for block in blocks}
    assert sorted(by_name) == ["source", "user"]
    form = {
        "username": "nobody",
        "items": [{"source": "demo/demo.ms/table.dat", "destination": "area/table.dat"}],
        "source_area": {"$ref": by_name["source"]},
    }
    state = stack.wait_for(stack.run("local-copy", {"request": form}), "FAILED", "COMPLETED", "CRASHED")
    assert state["type"] == "COMPLETED", state


def test_cancelling_in_prefect_cancels_the_copy_and_leaves_nothing(stack: Stack) -> None:
    big = stack.storage / "big"
    big.mkdir(exist_ok=True)
    for number in range(40_000):
        (big / f"{number:05}").write_bytes(b"x")
    form = {"username": "nobody", "items": [{"source": "big", "destination": "big"}]}
    flow_run_id = stack.run("local-copy", {"request": form})
    stack.wait_for(flow_run_id, "RUNNING")
    wait_until(lambda: any(stack.user_area.glob(".stager-*")))
    cancelling = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
    stack.client.post(f"{stack.prefect}/api/flow_runs/{flow_run_id}/set_state", json=cancelling).raise_for_status()
    stack.wait_for(flow_run_id, "CANCELLED")
    record = next(row for row in stack.records() if row["flow_run_id"] == flow_run_id)
    assert record["status"] == "cancelled"
    assert [*stack.user_area.glob("*big*"), *stack.user_area.glob(".stager-*")] == []
    of_run = {"artifacts": {"flow_run_id": {"any_": [flow_run_id]}}}
    shown = stack.client.post(f"{stack.prefect}/api/artifacts/filter", json=of_run).raise_for_status().json()
    [[row]] = [json.loads(artifact["data"]) for artifact in shown if artifact["type"] == "table"]
    assert (row["Destination"], row["Status"]) == (as_text(str(stack.user_area / "big")), "cancelled")


def _content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
