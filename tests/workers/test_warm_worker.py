"""The warm worker: runs begin in processes that were there before, and all that Prefect's process worker promises."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from operator import le
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest

from tests.patience import PATIENCE
from tests.ports import free_port
from workers.recall import FRESH_SECONDS

if TYPE_CHECKING:
    from tests.workers.conftest import Pool, Worker

pytestmark = pytest.mark.stack

MIB = 1 << 20
NEVER = "3600"
OURS = ("-m", "sample_worker")
PREFECTS = ("-c", "import sample_worker; from prefect.cli import app; app()")
# Whatever Prefect's process worker, or a pool's template, has a name for.
VARIABLES = {
    "command": "touch executed",
    "env": {"GREETING": "hello", "PYTHONPATH": "/nowhere", "PREFECT__FLOW_ENTRYPOINT": "sample_flows.no_flow"},
    "working_dir": "/",
    "stream_output": False,
}
TEMPLATE = {
    "job_configuration": {name: f"{{{{ {name} }}}}" for name in VARIABLES},
    "variables": {"type": "object", "properties": {name: {"title": name} for name in VARIABLES}},
}


@pytest.mark.parametrize("command", [OURS, PREFECTS], ids=["python -m workers", "prefect"])
def test_a_run_is_served_by_a_process_that_was_ready_before_the_run_existed(
    pool: Pool, command: tuple[str, ...]
) -> None:
    look = pool.deploy("look")
    with pool.worker(command=command) as worker:
        worker.ready(2)
        assert pool.ended(pool.run(look))["type"] == "COMPLETED"
    (seen,) = pool.log("ran")
    assert seen["born"] < seen["scheduled"]


@pytest.mark.parametrize("command", [OURS, PREFECTS], ids=["python -m workers", "prefect"])
def test_its_processes_have_its_priority_and_not_its_ctrl_c(pool: Pool, command: tuple[str, ...]) -> None:
    with pool.worker(command=command) as worker:
        ready = {process.pid for process in worker.ready(2)}
        assert {os.getsid(process) for process in ready} == {os.getsid(worker.process.pid)}
        # A child is counted from its fork on, and leaves our group soon after.
        pool.eventually(lambda: os.getpgid(worker.process.pid) not in {os.getpgid(process) for process in ready})


def test_a_run_is_noticed_by_its_event(pool: Pool) -> None:
    look = pool.deploy("look")
    with pool.worker(PREFECT_WORKER_QUERY_SECONDS=NEVER):
        assert pool.ended(pool.run(look))["type"] == "COMPLETED"


def test_a_run_is_noticed_by_polling_when_events_are_silent(pool_without_events: Pool) -> None:
    pool = pool_without_events
    look = pool.deploy("look")
    with pool.worker():
        assert pool.ended(pool.run(look))["type"] == "COMPLETED"


def test_events_are_heard_again_when_the_server_has_come_back(pool: Pool) -> None:
    look = pool.deploy("look")
    with pool.worker(PREFECT_WORKER_QUERY_SECONDS=NEVER):
        pool.prefect.stop()
        pool.prefect.start()
        assert pool.ended(pool.run(look))["type"] == "COMPLETED"


def test_events_and_polls_together_start_no_run_twice(pool: Pool) -> None:
    look = pool.deploy("look")
    with pool.worker(PREFECT_WORKER_QUERY_SECONDS="0.05"):
        runs = [pool.run(look) for _ in range(15)]
        for run in runs:
            assert pool.ended(run)["type"] == "COMPLETED"
    assert Counter(seen["run"] for seen in pool.log("ran")) == dict.fromkeys(runs, 1)


def test_a_limit_holds_and_a_free_place_is_taken_at_once(pool: Pool) -> None:
    hold = pool.deploy("hold")
    with pool.worker("--limit", "2", PREFECT_WORKER_QUERY_SECONDS=NEVER):
        runs = [pool.run(hold) for _ in range(4)]
        pool.started(2)
        assert len(pool.log("started")) == 2
        pool.go()
        assert {pool.ended(run)["type"] for run in runs} == {"COMPLETED"}


def test_only_the_named_queue_is_served_and_the_first_priority_first(pool: Pool) -> None:
    pool.queue("other", priority=1)
    pool.queue("urgent", priority=2)
    pool.queue("later", priority=3)
    elsewhere = pool.run(pool.deploy("look", queue="other"))
    later = pool.run(pool.deploy("look", queue="later"))
    urgent = pool.run(pool.deploy("look", queue="urgent"))
    with pool.worker("--limit", "1", "--work-queue", "urgent", "--work-queue", "later"):
        assert {pool.ended(run)["type"] for run in (later, urgent)} == {"COMPLETED"}
    assert [seen["run"] for seen in pool.log("ran")] == [urgent, later]
    assert pool.state(elsewhere)["type"] == "SCHEDULED"


PULL = {"prefect.deployments.steps.run_shell_script": {"script": "touch executed"}}


def surroundings(pool: Pool, worker: Worker) -> None:
    """Check that each run so far ran as its worker has it: in a folder of its own, with the worker's environment."""
    for seen in pool.log("ran"):
        assert (seen["greeting"], seen["workers_own"]) == (None, "yes")
        assert Path(seen["cwd"]).name.endswith("prefect")
    assert not pool.log("executed")
    assert "looking around" in worker.output
    assert not list(pool.folder.rglob("executed"))


def test_no_job_variable_changes_what_a_run_executes_whatever_the_pools_template_says(pool: Pool) -> None:
    pool.prefect.ask("PATCH", f"/work_pools/{pool.name}", base_job_template=TEMPLATE)
    runs = [
        pool.run(pool.deploy("look"), job_variables=VARIABLES),
        pool.run(pool.deploy("look", name="of the deployment", job_variables=VARIABLES)),
    ]
    edited = TEMPLATE | {"job_configuration": VARIABLES}
    with pool.worker(OF_THE_WORKER="yes", PREFECT_WORKER_HEARTBEAT_SECONDS="1") as worker:
        assert {pool.ended(run)["type"] for run in runs} == {"COMPLETED"}
        pool.prefect.ask("PATCH", f"/work_pools/{pool.name}", base_job_template=edited)
        time.sleep(3)  # the worker takes the pool's template as it is now
        assert pool.ended(pool.run(pool.deploy("look")))["type"] == "COMPLETED"
        surroundings(pool, worker)


def test_prefect_refuses_job_variables_of_a_pool_as_its_worker_makes_it(pool: Pool) -> None:
    look = pool.deploy("look")
    with pool.worker():
        pool.eventually(lambda: pool.prefect.ask("GET", f"/work_pools/{pool.name}")["base_job_template"])
        for name, value in VARIABLES.items():
            with pytest.raises(httpx.HTTPStatusError, match="422"):
                pool.run(look, job_variables={name: value})
            with pytest.raises(httpx.HTTPStatusError, match="422"):
                pool.deploy("hold", job_variables={name: value})


def test_hooks_are_those_of_the_flow_that_was_run_and_not_of_its_deployment_as_it_is_now(pool: Pool) -> None:
    (pool.folder / "theirs.py").write_text("open('executed', 'w').close()\n")
    hold = pool.deploy("hold")
    with pool.worker() as worker:
        run = pool.run(hold)
        (seen,) = pool.started()
        pool.prefect.ask("PATCH", f"/deployments/{hold}", entrypoint="theirs.theirs", pull_steps=[PULL])
        time.sleep(FRESH_SECONDS + 1)  # the worker has forgotten how it was
        os.kill(seen["pid"], signal.SIGKILL)
        assert pool.ended(run)["type"] == "CRASHED"
        worker.ready(2)
        worker.stop()
    assert not (pool.folder / "executed").exists()


def test_a_worker_that_is_told_to_stop_lets_its_runs_end(pool: Pool) -> None:
    hold = pool.deploy("hold")
    with pool.worker(STAGER_DRAIN="60") as worker:
        run = pool.run(hold)
        pool.started()
        family = worker.family()
        worker.process.send_signal(signal.SIGTERM)
        pool.eventually(lambda: "SIGTERM" in worker.output)
        late = pool.run(hold)
        pool.go()
        assert worker.process.wait(60) == 0
    assert pool.state(run)["type"] == "COMPLETED"
    assert pool.state(late)["type"] == "SCHEDULED"
    assert not psutil.wait_procs(family, timeout=PATIENCE)[1]


@pytest.mark.parametrize("moment", [0.0, 0.05, 0.2])
def test_a_worker_that_is_told_to_stop_leaves_no_run_that_it_was_taking_up(pool: Pool, moment: float) -> None:
    look = pool.deploy("look")
    with pool.worker(STAGER_DRAIN="60") as worker:
        runs = [pool.run(look) for _ in range(5)]
        time.sleep(moment)
        assert worker.stop() == 0
    assert {pool.state(run)["type"] for run in runs} <= {"COMPLETED", "SCHEDULED"}


def test_a_run_that_outlasts_the_drain_is_ended(pool: Pool) -> None:
    with pool.worker(STAGER_DRAIN="0.1") as worker:
        run = pool.run(pool.deploy("hold"))
        pool.started()
        family = worker.family()
        worker.stop()
        assert not psutil.wait_procs(family, timeout=PATIENCE)[1]
    assert pool.ended(run)["type"] in {"CRASHED", "CANCELLED"}


@pytest.mark.parametrize("flow", ["hold", "hold_on"])
def test_nothing_goes_on_when_the_worker_is_killed(pool: Pool, flow: str) -> None:
    run = pool.run(pool.deploy(flow))
    with pool.worker() as worker:
        pool.started()
        family = worker.family()
        worker.process.kill()
        worker.process.wait(10)
        assert not psutil.wait_procs(family, timeout=30)[1]
    with pool.worker():  # it knows what its predecessor had
        assert pool.ended(run)["type"] == "CRASHED"


def test_a_fork_server_that_is_killed_is_replaced(pool: Pool) -> None:
    with pool.worker() as worker:
        worker.ready(2)
        old = worker.fork_server()
        old.kill()
        pool.eventually(lambda: not old.is_running() or old.status() == psutil.STATUS_ZOMBIE)
        assert pool.ended(pool.run(pool.deploy("look")))["type"] == "COMPLETED"


def test_the_health_endpoint_answers(pool: Pool) -> None:
    port = str(free_port())
    with pool.worker("--with-healthcheck", PREFECT_WORKER_WEBSERVER_PORT=port):
        assert httpx.get(f"http://127.0.0.1:{port}/health", timeout=PATIENCE).is_success


def test_an_idle_worker_with_four_ready_processes_needs_at_most_200_mib(pool: Pool) -> None:
    with pool.worker(command=("-m", "sample_worker"), STAGER_READY_PROCESSES="4") as worker:
        worker.ready(4)
        assert sum(process.memory_full_info().pss for process in worker.family()) <= 200 * MIB


def test_many_runs_leave_nothing_behind(pool: Pool) -> None:
    look = pool.deploy("look")
    with pool.worker() as worker:
        for _ in range(5):
            pool.ended(pool.run(look))
        before = pool.eventually(worker.at_rest)
        for run in [pool.run(look) for _ in range(20)]:
            pool.ended(run)
        pool.eventually(lambda: (after := worker.at_rest()) and all(map(le, after, before)))
