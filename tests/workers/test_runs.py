"""What the warm worker does with each of its runs, all of them one worker's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

if TYPE_CHECKING:
    from tests.workers.conftest import Pool, Worker

pytestmark = pytest.mark.stack

PULLS = {"prefect.deployments.steps.run_shell_script": {"script": "touch {folder}/executed"}}
NONE = "not one of the installed flows"
FOREIGN: dict[str, tuple[dict[str, Any], str]] = {
    "another file": ({"entrypoint": "{folder}/theirs.py:theirs"}, NONE),
    "another module": ({"entrypoint": "theirs.theirs"}, NONE),
    "a function of our module that is no flow": ({"entrypoint": "sample_flows.no_flow"}, NONE),
    "no entrypoint": ({"entrypoint": " "}, NONE),
    "pull steps": ({"pull_steps": [PULLS]}, "has pull steps"),
}
THEIRS = """
from pathlib import Path
from prefect import flow

(Path(__file__).parent / "executed").touch()


@flow
def theirs(folder: str) -> None:
    pass
"""


@pytest.fixture
def pool(worker: Worker, tmp_path: Path) -> Pool:
    """Its pool, with a log of the test's own."""
    return replace(worker.pool, folder=tmp_path)


def test_a_process_serves_one_run_and_is_replaced(worker: Worker, pool: Pool) -> None:
    look = pool.deploy("look")
    runs = [pool.run(look) for _ in range(6)]
    assert {pool.ended(run)["type"] for run in runs} == {"COMPLETED"}
    assert len({seen["pid"] for seen in pool.log("ran")}) == len(runs)
    worker.ready(2)


@pytest.mark.parametrize(("foreign", "why"), FOREIGN.values(), ids=FOREIGN)
def test_a_deployment_that_is_not_of_a_flow_installed_here_is_not_run(
    worker: Worker, pool: Pool, foreign: dict[str, Any], why: str
) -> None:
    folder = worker.pool.folder  # in which it was started: what is there could be imported
    (folder / "theirs.py").write_text(THEIRS)
    said = json.loads(json.dumps(foreign).replace("{folder}", str(folder)))
    run = pool.run(pool.deploy("look", **said))
    state = pool.ended(run)
    assert (state["type"], why in (state["message"] or "")) == ("CRASHED", True), state
    assert not (folder / "executed").exists()
    assert not pool.log("executed") + pool.log("ran")


def test_a_run_without_a_deployment_is_not_run(pool: Pool) -> None:
    flow_id = pool.prefect.ask("POST", "/flows/", name="look")["id"]
    parameters = {"folder": str(pool.folder)}
    run = pool.prefect.ask(
        "POST",
        "/flow_runs/",
        flow_id=flow_id,
        parameters=parameters,
        work_pool_name=pool.name,
        state={"type": "SCHEDULED"},
    )["id"]
    state = pool.ended(run)
    assert (state["type"], "has no deployment" in (state["message"] or "")) == ("CRASHED", True), state
    assert not pool.log("ran")


def test_each_run_has_a_working_directory_that_goes_with_it(pool: Pool) -> None:
    look = pool.deploy("look")
    for run in [pool.run(look), pool.run(look)]:
        assert pool.ended(run)["type"] == "COMPLETED"
    directories = {seen["cwd"] for seen in pool.log("ran")}
    assert len(directories) == 2
    pool.eventually(lambda: not any(Path(path).exists() for path in directories))


def log_of(pool: Pool, run: str) -> list[str]:
    wanted = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC"}
    return [line["message"] for line in pool.prefect.ask("POST", "/logs/filter", **wanted)]


def test_the_log_of_a_run_is_in_the_pages(pool: Pool) -> None:
    run = pool.run(pool.deploy("look"))
    pool.ended(run)
    pool.eventually(lambda: "looking around" in log_of(pool, run))


def test_the_log_of_a_failed_run_ends_with_its_reason(pool: Pool) -> None:
    run = pool.run(pool.deploy("fail"))
    assert pool.ended(run)["type"] == "FAILED"
    (seen,) = pool.started()
    pool.eventually(lambda: not psutil.pid_exists(seen["pid"]))
    pool.eventually(lambda: log_of(pool, run)[-1:] == ["Finished in state Failed('there is no such source')"])


def test_a_running_run_is_cancelled(pool: Pool) -> None:
    run = pool.run(pool.deploy("hold"))
    (seen,) = pool.started()
    pool.prefect.ask("POST", f"/flow_runs/{run}/set_state", state={"type": "CANCELLING"})
    assert pool.ended(run)["type"] == "CANCELLED"
    pool.eventually(lambda: not psutil.pid_exists(seen["pid"]))
    assert not pool.log("ended")


def test_a_running_run_is_suspended(pool: Pool) -> None:
    run = pool.run(pool.deploy("go_on"))
    (seen,) = pool.started()
    suspended = {"type": "PAUSED", "name": "Suspended"}
    pool.prefect.ask("POST", f"/flow_runs/{run}/set_state", state=suspended)
    pool.eventually(lambda: not psutil.pid_exists(seen["pid"]))
    assert pool.state(run)["name"] == "Suspended"
    assert not pool.log("ended")


def test_a_run_whose_process_dies_is_reported_as_crashed(worker: Worker, pool: Pool) -> None:
    state = pool.ended(pool.run(pool.deploy("die")))
    assert (state["type"], "-9" in state["message"]) == ("CRASHED", True)
    worker.ready(2)


def test_a_run_that_takes_too_long_times_out_and_the_workers_log_names_it(worker: Worker, pool: Pool) -> None:
    run = pool.run(pool.deploy("dawdle"))
    state = pool.ended(run)
    assert (state["type"], state["name"]) == ("FAILED", "TimedOut")
    name = pool.prefect.ask("GET", f"/flow_runs/{run}")["name"]
    pool.eventually(lambda: f"Flow run {name!r} - Finished in state TimedOut" in worker.output)
