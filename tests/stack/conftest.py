"""The whole stack as `make up` runs it, on free ports and in a folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.open_folder import open_folder
from tests.patience import PATIENCE
from tests.ports import free_port
from tests.prefect_database import give_database

READY = "Ctrl-C stops everything."
USER = "nobody"


@dataclass(frozen=True)
class Stack:
    """Where the stack's parts are."""

    folder: Path
    http: str
    prefect: str
    launcher: subprocess.Popen[bytes]
    client: httpx.Client

    @property
    def closed(self) -> Path:
        """The folder that no other account can enter."""
        return self.folder / "state"

    @property
    def storage(self) -> Path:
        return self.folder / "storage"

    @property
    def user_area(self) -> Path:
        return self.folder / "user_areas" / USER

    def stage(self, source: str, destination: str, method: str = "local_copy") -> httpx.Response:
        return self.client.post(
            f"{self.http}/stage_data",
            params={"method": method, "username": USER},
            json={"data": {"local_path_on_storage": source, "relative_path": destination}},
        )

    def records(self) -> list[dict[str, object]]:
        rows: list[dict[str, object]] = self.client.get(f"{self.http}/requests").json()["requests"]
        return rows

    def deployment(self, name: str) -> str:
        return str(self.client.get(f"{self.prefect}/api/deployments/name/{name}/{name}").json()["id"])

    def run(self, name: str, parameters: dict[str, object]) -> str:
        """Start a flow run as Prefect's pages do, and return its id."""
        url = f"{self.prefect}/api/deployments/{self.deployment(name)}/create_flow_run"
        answer = self.client.post(url, json={"parameters": parameters, "state": {"type": "SCHEDULED"}})
        answer.raise_for_status()
        return str(answer.json()["id"])

    def state(self, flow_run_id: str) -> dict[str, str]:
        state: dict[str, str] = self.client.get(f"{self.prefect}/api/flow_runs/{flow_run_id}").json()["state"]
        return state

    def wait_for(self, flow_run_id: str, *types: str, patience: float = PATIENCE) -> dict[str, str]:
        deadline = time.monotonic() + patience
        while (state := self.state(flow_run_id))["type"] not in types:
            assert time.monotonic() < deadline, state
            time.sleep(0.2)
        return state


def give_prefect(folder: Path) -> None:
    """Put into a folder in which no stack has been yet what Prefect would take seconds to make there."""
    (folder / "state").mkdir(mode=0o700)
    give_database(folder / "state/prefect")


def launch(folder: Path, log: Path, **variables: str) -> tuple[subprocess.Popen[bytes], int, int]:
    """Start the stack as `make up` does."""
    ports = free_port(), free_port()
    environment = {
        **os.environ,
        "STAGER_STATE_DIR": str(folder),
        "STAGER_PORT": str(ports[0]),
        "PREFECT_SERVER_API_PORT": str(ports[1]),
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",  # else a schedule's first run is made within a minute
        **variables,
    }
    with log.open("wb") as out:
        launcher = subprocess.Popen(
            [sys.executable, "-m", "deployments.local"], env=environment, stdout=out, stderr=out
        )
    return launcher, *ports


def wait_until_ready(launcher: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while READY not in log.read_text():
        assert launcher.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def wait_until(is_so: Callable[[], bool], patience: float = PATIENCE) -> None:
    deadline = time.monotonic() + patience
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def end(launcher: subprocess.Popen[bytes]) -> int:
    launcher.send_signal(signal.SIGINT)
    return launcher.wait(PATIENCE)


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of the processes that have the stack's folder, or one in it, in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"={folder}".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
    return found


class OnlyPrefect(httpx.Auth):
    """Tells Prefect its password, and nobody else."""

    def __init__(self, port: int, password_file: Path) -> None:
        self._port, self._file = port, password_file

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if request.url.port == self._port:
            token = b64encode(self._file.read_text().strip().encode()).decode()
            request.headers["Authorization"] = f"Basic {token}"
        yield request


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The running stack of the session."""
    with open_folder() as folder:
        log = folder / "console.log"
        launcher, port, prefect_port = launch(folder, log)
        # No connection is kept: a server may close it just when it is used again.
        auth = OnlyPrefect(prefect_port, folder / "state/prefect-password")
        client = httpx.Client(timeout=PATIENCE, auth=auth, limits=httpx.Limits(max_keepalive_connections=0))
        try:
            wait_until_ready(launcher, log)
            with client:
                yield Stack(folder, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{prefect_port}", launcher, client)
        finally:
            status = end(launcher)
            left = processes_of(folder)
            assert (status, left) == (0, [])
