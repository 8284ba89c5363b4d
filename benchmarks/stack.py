"""The whole service in processes of its own, as ``make up`` runs it, for a benchmark to measure."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import create_server
from typing import TypeVar, cast

import httpx
import psutil

from deployments.local.programs import BEHIND
from deployments.local.settings import CHECKOUT, LocalSettings, stack_environment
from stager.records.database import Database
from stager.records.requests import get_request, list_requests
from stager.records.tables import StagingRequestRow

WORKERS = {"warm": ("-m", "workers"), "process": ("-m", "prefect")}
USERS = 20
FILE_BYTES = 4096
PASSWORD = "benchmark:of-prefect"  # noqa: S105 - of a server that lives for minutes
T = TypeVar("T")


@dataclass
class Stack:
    """The service's parts, in processes of their own.

    Parameters
    ----------
    folder
        What its state is in.
    areas
        What the storage and the users' areas are in; by default the same.
    database_url
        The records; by default SQLite in the folder.
    """

    folder: Path
    worker_type: str
    areas: Path | None = None
    database_url: str | None = None

    def __post_init__(self) -> None:
        """Choose ports and write down who there is."""
        areas = self.areas or self.folder
        for folder in (self.folder, areas):
            folder.chmod(0o755)  # as a site's areas are: users may enter
        self.settings = LocalSettings(
            state_dir=self.folder,
            host="127.0.0.1",
            port=_free_port(),
            prefect_port=_free_port(),
            source_storage_path=areas / "storage",
            target_storage_path=areas / "user_areas",
            database_url=self.database_url or f"sqlite:///{self.folder / 'state/records.db'}",
        )
        self.parts: dict[str, subprocess.Popen[bytes]] = {}
        self.settings.state.mkdir(mode=0o700)
        for folder in (self.settings.storage, self.settings.user_areas, self.settings.logs):
            folder.mkdir()
        (areas / "storage/small.bin").write_bytes(os.urandom(FILE_BYTES))
        users = "".join(f"[users.user{number}]\nuid = {70_000 + number}\ngid = 70000\n" for number in range(USERS))
        (self.folder / "users.toml").write_text(users)
        self.database = Database(self.settings.records_url, patience=60)

    @property
    def http(self) -> str:
        """The HTTP service."""
        return self.settings.service_url

    @property
    def prefect(self) -> str:
        """Prefect's API."""
        return f"{self.settings.prefect_url}/api"

    @property
    def auth(self) -> tuple[str, str]:
        """What Prefect asks for."""
        user, _, password = PASSWORD.partition(":")
        return user, password

    @property
    def environment(self) -> dict[str, str]:
        """What `make up` sets, and what a benchmark wants otherwise."""
        return {
            **stack_environment(self.settings, PASSWORD),
            "PREFECT_SERVER_UI_ENABLED": "false",
            "PREFECT_WORKER_QUERY_SECONDS": "5" if self.worker_type == "warm" else "1",
            "STAGER_USERS_FILE": str(self.folder / "users.toml"),
            "TMPDIR": str(self.folder),  # what is killed leaves its own temporary folders
            "STAGER_WAIT": "0",
        }

    def start(self) -> None:
        """Start every part, and wait until each answers."""
        self.run(
            "-c",
            "from stager.records.migrate import migrate; from stager.settings import get_settings as s; "
            "migrate(s().database_url.get_secret_value())",
        )
        self.start_server()
        register = "import deployments.register as r; r.WarmWorker.type = 'process'; r.main()"
        self.run(*(("-m", "deployments.register") if self.worker_type == "warm" else ("-c", register)))
        self.start_worker()
        options = ("--interface", "asgi", "--factory", "--http", "1", "--no-ws", "--log-level", "warning")
        self._part("http", "-m", "granian", *options, "--port", str(self.settings.port), "stager.app:create_app")
        _wait_for(f"{self.http}/health")

    def start_server(self) -> None:
        """Start Prefect's server."""
        self._part("server", "-m", "deployments.prefect_server")
        _wait_for(f"{self.prefect}/health")

    def start_worker(self) -> None:
        """Start the worker, and wait until it is there."""
        seen = self._log("worker").count("started!")
        pool = ("worker", "start", "--pool", "staging", "--type", self.worker_type, "--name", "w")
        self._part("worker", *WORKERS[self.worker_type], *pool)
        until(lambda: self._log("worker").count("started!") > seen)

    def run(self, *arguments: str) -> None:
        """Run a program to its end."""
        with (self.settings.logs / "setup.log").open("ab") as log:
            subprocess.run(
                [sys.executable, *arguments], env=self.environment, cwd=CHECKOUT, check=True, stdout=log, stderr=log
            )

    def _part(self, name: str, *arguments: str) -> None:
        how = () if name == "http" else BEHIND
        with (self.settings.logs / f"{name}.log").open("ab") as log:
            self.parts[name] = subprocess.Popen(
                [*how, sys.executable, *arguments], env=self.environment, cwd=CHECKOUT, stdout=log, stderr=log
            )

    def _log(self, name: str) -> str:
        path = self.settings.logs / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def locked(self) -> int:
        """Return how often Prefect's database said that it is locked."""
        return self._log("server").count("database is locked")

    def kill(self, name: str) -> None:
        """Kill a part as a machine dies."""
        self.parts[name].kill()
        self.parts[name].wait()

    def stop(self) -> None:
        """Stop every part, last started first, and whatever is left of them."""
        for part in reversed(self.parts.values()):
            family = psutil.Process(part.pid).children(recursive=True) if part.poll() is None else []
            part.send_signal(signal.SIGTERM)
            try:
                part.wait(30)
            except subprocess.TimeoutExpired:
                part.kill()
            for process in psutil.wait_procs(family, timeout=15)[1]:
                process.kill()

    def stage(self, client: httpx.Client, user: int, destination: str) -> str:
        """Ask the HTTP service for one file, and return the request's id."""
        answer = client.post(
            f"{self.http}/stage_data",
            params={"method": "local_copy", "username": f"user{user}"},
            json={"data": {"local_path_on_storage": "small.bin", "relative_path": destination}},
        )
        answer.raise_for_status()
        return str(answer.json()["request_id"])

    def stage_in_prefect(self, client: httpx.Client, user: int, destination: str) -> str:
        """Start a run as Prefect's form does, and return the request's id."""
        key = self.start_in_prefect(client, user, destination)
        return until(lambda: self._recorded(key))

    def start_in_prefect(self, client: httpx.Client, user: int, destination: str) -> str:
        """Start a run as Prefect's form does, and return its id."""
        deployment = client.get(f"{self.prefect}/deployments/name/local-copy/local-copy", auth=self.auth).json()["id"]
        form = {"username": f"user{user}", "items": [{"source": "small.bin", "destination": destination}]}
        answer = client.post(
            f"{self.prefect}/deployments/{deployment}/create_flow_run",
            json={"parameters": {"request": form}},
            auth=self.auth,
        )
        answer.raise_for_status()
        return str(answer.json()["id"])

    def _recorded(self, flow_run_id: str) -> str | None:
        rows = list_requests(self.database, limit=200).requests
        return next((row.id for row in rows if row.flow_run_id == flow_run_id), None)

    def ended(self, request_id: str) -> StagingRequestRow:
        """Return a record as soon as it is closed."""
        return until(lambda: (row := get_request(self.database, request_id)).status.is_final and row)


def _free_port() -> int:
    with create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def until(holds: Callable[[], T | bool | None], *, patience: float = 900.0, pause: float = 0.01) -> T:
    """Return what is asked for as soon as it is there."""
    deadline = time.monotonic() + patience
    while not (found := holds()):
        if time.monotonic() > deadline:
            message = "it did not come"
            raise TimeoutError(message)
        time.sleep(pause)
    return cast("T", found)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.HTTPError:
        return False


def _wait_for(url: str) -> None:
    until(lambda: _answers(url), pause=0.2)


@contextmanager
def stack(worker_type: str, *, areas: Path | None = None, database_url: str | None = None) -> Iterator[Stack]:
    """Give a running stack that leaves nothing behind."""
    with tempfile.TemporaryDirectory() as name:
        made = Stack(Path(name), worker_type, areas, database_url)
        try:
            made.start()
            yield made
        finally:
            made.stop()
            made.database.close()
