"""The warm worker: runs begin in processes that were there before, and all that Prefect's process worker promises."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from operator import le
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest

from tests.ports import free_port

if TYPE_CHECKING:
    from conftest import Pool

pytestmark = pytest.mark.stack

MIB = 1 << 20
NEVER = "3600"


@pytest.mark.parametrize("command", [("-m", "workers"), ("-m", "prefect")], ids=["python -m workers", "prefect"])
def test_a_run_is_served_by_a_process_that_was_ready_before_the_run_existed(
    pool: Pool, command: tuple[str, ...]
) -> None:
    look = pool.deploy("look")
    with pool.worker(command=command) as worker:
        worker.ready(2)
        assert pool.ended(pool.run(look))["type"] == "COMPLETED"
    (seen,) = pool.log("ran")
    assert seen["born"] < seen["scheduled"]


@pytest.mark.parametrize("command", [("-m", "workers"), ("-m", "prefect")], ids=["python -m workers", "prefect"])
def test_its_processes_have_its_priority_and_not_its_ctrl_c(pool: Pool, command: tuple[str, ...]) -> None:
    with pool.worker(command=command) as worker:
        ready = {process.pid for process in worker.ready(2)}
        assert {os.getsid(process) for process in ready} == {os.getsid(worker.process.pid)}
        assert os.getpgid(worker.process.pid) not in {os.getpgid(process) for process in ready}


def test_a_process_serves_one_run_and_is_replaced(pool: Pool) -> None:
    look = pool.deploy("look")
    with pool.worker() as worker:
        runs = [pool.run(look) for _ in range(6)]
        assert {pool.ended(run)["type"] for run in runs} == {"COMPLETED"}
        assert len({seen["pid"] for seen in pool.log("ran")}) == len(runs)
        worker.ready(2)


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


def test_environment_and_working_directory_are_those_of_the_job_configuration(pool: Pool) -> None:
    (pool.folder / "here").mkdir()
    variables = {"GREETING": "hello", "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}
    look = pool.deploy("look", env=variables, working_dir=str(pool.folder / "here"))
    with pool.worker():
        assert pool.ended(pool.run(look))["type"] == "COMPLETED"
    (seen,) = pool.log("ran")
    assert (seen["home"], seen["heartbeat"], seen["cwd"]) == ("hello", "30", str(pool.folder / "here"))


def test_an_edit_of_the_pool_counts_for_the_runs_after_it(pool: Pool) -> None:
    look, address = pool.deploy("look"), f"/work_pools/{pool.name}"
    with pool.worker(PREFECT_WORKER_HEARTBEAT_SECONDS="1"):
        assert pool.ended(pool.run(look))["type"] == "COMPLETED"
        template = pool.prefect.ask("GET", address)["base_job_template"]  # the worker has given it
        template["variables"]["properties"]["env"]["default"] = {"GREETING": "edited"}
        pool.prefect.ask("PATCH", address, base_job_template=template)
        pool.eventually(lambda: pool.ended(pool.run(look)) and pool.log("ran")[-1]["home"] == "edited")
    assert pool.log("ran")[0]["home"] is None


def test_without_a_working_directory_each_run_has_one_that_goes_with_it(pool: Pool) -> None:
    look = pool.deploy("look")
    with pool.worker():
        for run in [pool.run(look), pool.run(look)]:
            assert pool.ended(run)["type"] == "COMPLETED"
        directories = {seen["cwd"] for seen in pool.log("ran")}
        assert len(directories) == 2
        pool.eventually(lambda: not any(Path(path).exists() for path in directories))


def test_a_command_of_the_operator_is_run_instead(pool: Pool) -> None:
    look = pool.deploy("look", command=f"env GREETING=commanded {sys.executable} -m prefect.engine")
    with pool.worker():
        assert pool.ended(pool.run(look))["type"] == "COMPLETED"
    (seen,) = pool.log("ran")
    assert seen["home"] == "commanded"


def test_the_log_of_a_run_is_in_the_pages(pool: Pool) -> None:
    with pool.worker():
        run = pool.run(pool.deploy("look"))
        pool.ended(run)
        wanted = {"logs": {"flow_run_id": {"any_": [run]}}}
        pool.eventually(
            lambda: "looking around" in [line["message"] for line in pool.prefect.ask("POST", "/logs/filter", **wanted)]
        )


def test_a_running_run_is_cancelled(pool: Pool) -> None:
    with pool.worker():
        run = pool.run(pool.deploy("hold"))
        (seen,) = pool.started()
        pool.prefect.ask("POST", f"/flow_runs/{run}/set_state", state={"type": "CANCELLING"})
        assert pool.ended(run)["type"] == "CANCELLED"
        pool.eventually(lambda: not psutil.pid_exists(seen["pid"]))
    assert not pool.log("ended")


def test_a_running_run_is_suspended(pool: Pool) -> None:
    with pool.worker():
        run = pool.run(pool.deploy("go_on"))
        (seen,) = pool.started()
        suspended = {"type": "PAUSED", "name": "Suspended"}
        pool.prefect.ask("POST", f"/flow_runs/{run}/set_state", state=suspended)
        pool.eventually(lambda: not psutil.pid_exists(seen["pid"]))
        assert pool.state(run)["name"] == "Suspended"
    assert not pool.log("ended")


def test_a_run_whose_process_dies_is_reported_as_crashed(pool: Pool) -> None:
    with pool.worker() as worker:
        state = pool.ended(pool.run(pool.deploy("die")))
        assert (state["type"], "-9" in state["message"]) == ("CRASHED", True)
        worker.ready(2)


def test_a_run_that_takes_too_long_times_out(pool: Pool) -> None:
    with pool.worker():
        state = pool.ended(pool.run(pool.deploy("dawdle")))
    assert (state["type"], state["name"]) == ("FAILED", "TimedOut")


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
    assert not psutil.wait_procs(family, timeout=60)[1]


@pytest.mark.parametrize("moment", [0.0, 0.02, 0.05, 0.1, 0.2])
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
        assert not psutil.wait_procs(family, timeout=60)[1]
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
        assert httpx.get(f"http://127.0.0.1:{port}/health", timeout=60).is_success


def test_an_idle_worker_with_four_ready_processes_needs_at_most_200_mib(pool: Pool) -> None:
    with pool.worker(STAGER_READY_PROCESSES="4") as worker:
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
