"""A step that meets a fault in a whole run: tried again where that may help, else told at once.

The faults are the kernel's answers to real system calls, put there by strace.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from stager.models import Status
from tests.flows.conftest import STEPS
from tests.patience import PATIENCE
from tests.ports import free_port

if TYPE_CHECKING:
    from tests.flows.conftest import Site

pytestmark = [
    pytest.mark.stack,
    pytest.mark.parametrize("site", ["sqlite"], indirect=True),  # the records are not what fails
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("strace"), reason="needs root and strace"),
]
DOOR = """
import os, sys
from granian import Granian
os.environ |= {"STAGER_RECONCILE_INTERVAL": "600", "STAGER_LOG_FILE": os.environ["PREFECT_HOME"] + "/log"}
app = "stager.app:create_app"
Granian(app, factory=True, interface="asgi", port=int(sys.argv[2]), log_level="warning").serve()
"""


def failing(call: str, error: str, when: str = "1") -> list[str]:
    """Let a system call of a program fail, the first of its kind in each process, or as strace counts."""
    options = ["-f", "--seccomp-bpf", "-qq", "-o", "/dev/null"]
    return ["strace", *options, "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={when}"]


@pytest.mark.parametrize(("call", "step"), [("mkdirat", "transfer"), ("renameat2", "set read-only")])
def test_a_fault_that_may_pass_is_tried_again_and_ends_well(site: Site, call: str, step: str) -> None:
    request_id = site.request(("a.fits", "new/a.fits"), ("a.fits", "new/b.fits"))
    state, log = site.run("local_copy", request_id, prefix=failing(call, "EIO"))
    assert state.startswith("Completed"), state
    assert "EIO" in log
    assert dict(site.task_runs(request_id, len(STEPS))) == {name: 2 if name == step else 1 for name in STEPS}
    assert sorted(path.name for path in (site.users / "alice/new").iterdir()) == ["a.fits", "b.fits"]


@pytest.mark.parametrize(("fault", "error"), [("ENOSPC", "NoSpace"), ("EDQUOT", "QuotaExceeded")])
def test_a_fault_that_does_not_pass_is_not_tried_again(site: Site, fault: str, error: str) -> None:
    request_id = site.request(("a.fits", "a.fits"), ("a.fits", "b.fits"))
    state, _ = site.run("local_copy", request_id, prefix=failing("renameat2", fault))
    assert state.startswith("Failed: 1 of 2 items failed"), state
    assert fault in state
    assert {tries for _, tries in site.task_runs(request_id, len(STEPS))} == {1}
    ended = [(file.status, file.error_type) for file in site.files(request_id)]
    assert ended == [(Status.FAILED, error), (Status.COMPLETED, None)]
    assert [path.name for path in (site.users / "alice").iterdir()] == ["b.fits"]


def test_while_a_run_waits_to_try_again_its_explanation_says_after_which_error_and_until_when(site: Site) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"

    def answers(path: str) -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(f"{url}{path}", timeout=PATIENCE).is_success
        return False

    with site.executing(DOOR, "-", str(port)):
        site.eventually(lambda: answers("/config/"))
        request_id = site.request(("a.fits", "a.fits"))
        with site.running("local_copy", request_id, prefix=failing("renameat2", "EIO", "1..2")) as run:
            seen: list[dict[str, Any]] = []

            def is_retrying() -> bool:
                seen.append(httpx.get(f"{url}/requests/{request_id}/explain", timeout=PATIENCE).json())
                return bool(seen[-1]["cause"] == "StorageFault")

            site.eventually(is_retrying)
            state, _ = site.ended(run)
        ended = httpx.get(f"{url}/requests/{request_id}/explain", timeout=PATIENCE).json()

    assert "EIO" in seen[-1]["message"]
    assert datetime.fromisoformat(seen[-1]["until"]) > datetime.fromisoformat(seen[-1]["since"])
    assert state.startswith("Completed")
    assert ended["cause"] != "StorageFault"
