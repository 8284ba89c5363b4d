"""Flows that say what they see, for the worker's tests."""

from __future__ import annotations

import json
import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Failed


def note(folder: str, event: str, **facts: object) -> None:
    """Append a line to the folder's log: one write, which nobody can cut in two."""
    line = {"event": event, "run": flow_run.get_id(), "pid": os.getpid(), "time": time.time(), **facts}
    with (Path(folder) / "log.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\n")


def wait_for(path: Path) -> None:
    """Return when a file is there."""
    while not path.exists():
        time.sleep(0.01)


def born() -> float:
    """Return when this process was forked, in seconds since 1970."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    booted = time.time() - float(Path("/proc/uptime").read_text().split()[0])
    return booted + ticks / os.sysconf("SC_CLK_TCK")


@flow
def look(folder: str) -> None:
    """Note the surroundings of the run."""
    get_run_logger().info("looking around")
    expected = flow_run.get_scheduled_start_time() or datetime.now(UTC)
    note(
        folder,
        "ran",
        born=born(),
        scheduled=expected.timestamp(),
        cwd=str(Path.cwd()),
        greeting=os.environ.get("GREETING"),
        workers_own=os.environ.get("OF_THE_WORKER"),
    )


def no_flow(folder: str) -> None:
    """Note that it was called: a function of the module, which Prefect would make a flow of."""
    note(folder, "executed")


@flow
def hold(folder: str) -> None:
    """Run until the test says that it may end."""
    note(folder, "started")
    wait_for(Path(folder) / "go")
    note(folder, "ended")


@flow
def hold_on(folder: str) -> None:
    """Run until the test says that it may end, deaf to every polite request."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note(folder, "started")
    wait_for(Path(folder) / "go")
    note(folder, "ended")


@flow
def fail(folder: str) -> State[Any]:
    """End as a run does that could not do what was asked for."""
    note(folder, "started")
    return Failed(message="there is no such source")


@flow
def die(folder: str) -> None:
    """Die as an out-of-memory kill lets a process die."""
    note(folder, "started")
    os.kill(os.getpid(), signal.SIGKILL)


@flow(timeout_seconds=0.2)
def dawdle(folder: str) -> None:
    """Run longer than the flow may."""
    note(folder, "started")
    time.sleep(30)


@task
def rest() -> None:
    """Do nothing for a moment: where a run that is suspended stops."""
    time.sleep(0.1)


@flow
def go_on(folder: str) -> None:
    """Run one task after the other until the test says that it may end."""
    note(folder, "started")
    while not (Path(folder) / "go").exists():
        rest()
    note(folder, "ended")
