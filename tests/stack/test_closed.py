"""What `make up` keeps is for no other account; what users need they can enter; a later version finds an older's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from stager.models import StagingItem, StagingRequest
from stager.records.database import Database
from stager.records.requests import create_request
from tests.open_folder import open_folder
from tests.patience import PATIENCE
from tests.stack.conftest import USER, end, launch, processes_of, wait_until, wait_until_ready

if TYPE_CHECKING:
    from tests.stack.conftest import Stack

pytestmark = pytest.mark.stack

OWN = ("operator", "of-their-own")


def test_the_first_start_tells_prefects_password_and_what_no_authentication_means(stack: Stack) -> None:
    console = (stack.folder / "console.log").read_text()
    password = (stack.closed / "prefect-password").read_text().strip()

    assert f"    its password    {password}    (kept in {stack.closed}/prefect-password)\n" in console
    assert "Authentication is off: whoever reaches this service, any account of this machine included," in console


def test_prefect_wants_the_password_and_both_of_its_ends_have_it(stack: Stack) -> None:
    deployment = stack.deployment("local-copy")
    url = f"{stack.prefect}/api/deployments/{deployment}/create_flow_run"

    run = {"parameters": {"request": {"username": USER, "items": [_item("never")]}}, "state": {"type": "CANCELLED"}}

    assert httpx.post(url, json=run).status_code == 401
    assert stack.client.post(url, json=run).status_code == 201
    assert stack.client.get(f"{stack.http}/health").json()["status"] == "healthy"


@pytest.mark.parametrize("kept_in", ["prefect-password", "secret-key"])
def test_no_log_and_no_command_line_holds_a_password_or_key(stack: Stack, kept_in: str) -> None:
    stack.stage("demo/demo.ms/table.dat", f"told/{kept_in}.dat")
    password = (stack.closed / kept_in).read_text().strip().rpartition(":")[2]
    logs, lines = list((stack.closed / "logs").iterdir()), processes_of(stack.folder)

    assert (bool(password), bool(logs), bool(lines)) == (True, True, True)
    assert [log.name for log in logs if password in log.read_text(errors="replace")] == []
    assert [line for line in lines if password in line] == []


def test_no_other_account_can_enter_the_state_and_everything_in_it_is_closed_too(stack: Stack) -> None:
    stack.stage("demo/demo.ms/table.dat", "closed/table.dat")
    names = {path.name for path in stack.closed.iterdir()}

    assert {"records.db", "records.db-shm", "prefect", "prefect-password", "logs", "supervisor.sock"} <= names
    pages = stack.closed / "prefect/ui"  # Prefect's public ones, with the modes that they came with
    made = [path for path in (stack.closed, *stack.closed.rglob("*")) if not path.is_relative_to(pages)]
    assert [str(path) for path in made if _mode(path) & 0o077] == []


def _mode(path: Path) -> int:
    with suppress(FileNotFoundError):  # what is written at this moment may be gone
        return path.lstat().st_mode
    return 0


def test_users_can_enter_what_they_stage_from_and_to(stack: Stack) -> None:
    product = stack.storage / "demo/demo.ms"
    folders = [stack.folder, stack.storage, stack.storage / "demo", product, stack.user_area.parent]

    assert [str(folder) for folder in folders if folder.stat().st_mode & 0o055 != 0o055] == []
    assert {path.stat().st_mode & 0o044 for path in product.rglob("*")} == {0o044}


@dataclass(frozen=True)
class Upgraded:
    """An older installation that a newer version has started.

    Parameters
    ----------
    ended
        What its first start wrote as it ended, and the processes that it left.
    """

    folder: Path
    ended: tuple[str, list[str]]
    console: str
    http: str
    prefect: str
    staged: dict[str, Any]
    waiting: str

    def request(self, request_id: str) -> dict[str, Any]:
        return dict(httpx.get(f"{self.http}/requests/{request_id}").raise_for_status().json())


@pytest.fixture(scope="module")
def upgraded() -> Iterator[Upgraded]:
    with open_folder() as outer:
        # No name that its parts' configuration or a socket's address could not bear.
        folder = outer / f"100% # ours; {'x' * 100}"
        folder.mkdir(mode=0o755)
        staged = _stage_with_one_start(folder)
        ended = (folder / "state/logs/supervisord.log").read_text(), processes_of(folder)
        waiting = _make_older(folder)
        log = folder / "second.log"
        launcher, port, prefect_port = launch(folder, log, PREFECT_API_AUTH_STRING=":".join(OWN))
        try:
            wait_until_ready(launcher, log)
            where = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{prefect_port}"
            yield Upgraded(folder, ended, log.read_text(), *where, staged, waiting)
        finally:
            assert end(launcher) == 0


def _stage_with_one_start(folder: Path) -> dict[str, Any]:
    log = folder / "first.log"
    launcher, port, _ = launch(folder, log)
    try:
        wait_until_ready(launcher, log)
        call = {"method": "local_copy", "username": USER, "items": [_item("before")]}
        request = httpx.post(
            f"http://127.0.0.1:{port}/requests", json=call, headers={"Prefer": "wait=60"}, timeout=PATIENCE
        )
        return dict(request.raise_for_status().json())
    finally:
        assert end(launcher) == 0


def _item(destination: str) -> dict[str, str]:
    return {"source": "demo/demo.ms/table.dat", "destination": destination}


def _make_older(folder: Path) -> str:
    """Put everything where the version before had it, readable by all; return a request that nobody served."""
    state = folder / "state"
    for since_then in ("prefect-password", "secret-key"):
        (state / since_then).unlink()
    for path in state.iterdir():
        path.rename(folder / path.name)
    state.rmdir()
    for name in ("records.db", "logs", "prefect"):
        (folder / name).chmod(0o755)
    for log in (folder / "logs").iterdir():
        log.chmod(0o644)
    wanted = StagingRequest(method="local_copy", username=USER, items=(StagingItem(**_item("waited")),))
    with closing(Database(f"sqlite:///{folder}/records.db")) as database:
        return create_request(database, wanted).id


def test_it_starts_in_a_folder_of_any_name(upgraded: Upgraded) -> None:
    assert "%" in str(upgraded.folder)
    assert " #" in str(upgraded.folder)
    assert len(str(upgraded.folder)) > 108
    assert httpx.get(f"{upgraded.http}/health").json()["status"] == "healthy"


def test_ctrl_c_stops_the_parts_in_reverse_order_and_leaves_nothing(upgraded: Upgraded) -> None:
    log, left = upgraded.ended
    assert re.findall(r"stopped: ([\w-]+)", log) == ["http-service", "worker", "prefect-server"]
    assert left == []


def test_an_older_installation_is_found_closed_and_told(upgraded: Upgraded) -> None:
    state = upgraded.folder / "state"

    assert f"Records, Prefect's data and logs are now in {state}, which no other account can enter." in upgraded.console
    assert state.stat().st_mode & 0o7777 == 0o700
    assert {path.name for path in upgraded.folder.iterdir()} == {
        *("state", "storage", "user_areas"),
        *("first.log", "second.log"),
    }


def test_an_older_installation_loses_neither_records_nor_history_nor_open_requests(upgraded: Upgraded) -> None:
    staged = upgraded.request(upgraded.staged["request_id"])
    run = httpx.get(f"{upgraded.prefect}/api/flow_runs/{staged['flow_run_id']}", auth=OWN).raise_for_status().json()
    wait_until(lambda: upgraded.request(upgraded.waiting)["finished_at"] is not None, patience=120)

    assert staged["status"] == "completed"
    assert run["state_type"] == "COMPLETED"
    assert upgraded.request(upgraded.waiting)["status"] == "completed"
    copies = [(upgraded.folder / "user_areas" / USER / name).stat().st_size for name in ("before", "waited")]
    assert len(set(copies)) == 1


def test_an_operators_own_password_is_prefects_and_is_not_printed(upgraded: Upgraded) -> None:
    version = f"{upgraded.prefect}/api/version"

    assert [httpx.get(version, auth=auth).status_code for auth in (OWN, None)] == [200, 401]
    assert "    its password    in PREFECT_API_AUTH_STRING\n" in upgraded.console
    assert OWN[1] not in upgraded.console
    assert not (upgraded.folder / "state/prefect-password").exists()
