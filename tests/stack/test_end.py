"""How the stack ends, and what its logs have then."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest

from deployments.local.supervisor_client import ProgramStatus, reports
from tests.stack.conftest import wait_until

if TYPE_CHECKING:
    from tests.stack.conftest import Stack

pytestmark = pytest.mark.stack


@pytest.mark.parametrize("part", ["http-service", "worker"])
def test_a_part_that_is_killed_leaves_no_process_and_is_started_again(stack: Stack, part: str) -> None:
    def reported() -> ProgramStatus:
        return reports(stack.closed / "supervisor.sock")[part]

    def answers() -> bool:
        with suppress(httpx.HTTPError):
            return stack.client.get(f"{stack.http}/health").is_success
        return False

    killed = psutil.Process(reported().pid)
    left = killed.children(recursive=True)
    killed.kill()
    wait_until(lambda: not any(process.is_running() for process in left))
    wait_until(lambda: reported().state == "RUNNING" and reported().pid != killed.pid)
    wait_until(answers)


def test_twenty_runs_at_once_lock_no_database(stack: Stack) -> None:
    forms = [{"username": "nobody", "items": [{"source": "demo/fits", "destination": f"burst/{n}"}]} for n in range(20)]
    runs = [stack.run("local-copy", {"request": form}) for form in forms]
    states = [stack.wait_for(run, "COMPLETED", "FAILED", "CRASHED")["type"] for run in runs]
    assert states == ["COMPLETED"] * 20
    assert [content(stack.user_area / f"burst/{n}") for n in range(20)] == [content(stack.storage / "demo/fits")] * 20
    logs = [*stack.folder.glob("*.log"), *(stack.closed / "logs").iterdir()]
    assert {"http-service.log", "prefect-server.log", "worker.log"} <= {log.name for log in logs}
    lines = [line for log in logs for line in log.read_text(errors="replace").splitlines()]
    # What is tried at a worker's start waits for no lock, and need not succeed.
    assert [
        line for line in lines if "database is locked" in line and "could not be compiled beforehand" not in line
    ] == []


def content(place: Path) -> dict[str, bytes]:
    """Return what is in each file of a directory, or in a file itself, by paths in it."""
    return {str(path.relative_to(place)): path.read_bytes() for path in (place, *place.rglob("*")) if path.is_file()}
