"""A real door behind Granian, a real Prefect that can be cut off, real databases."""

from __future__ import annotations

import json
import os
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.records.database import Database, now
from stager.records.items import files_of, save_files
from stager.records.requests import close_requests, start_requests
from stager.records.tables import Shard, StagingRequestRow
from tests import behind_nginx, prefect_password
from tests.open_folder import open_folder
from tests.patience import PATIENCE
from tests.ports import NO_PREFECT, free_port
from tests.prefect_database import give_database
from tests.records_database import give_records
from tests.running import Running, running, wait_for
from tests.tls import TRUSTED

METHODS = ["local_copy", "local_symlink", "symlink_copy", "direct_download"]


@dataclass(eq=False)
class ServedDoor:
    """A door in a process of its own, and what it was given."""

    url: str
    folder: Path
    database_url: str
    process: Running
    client: httpx.Client
    environment: dict[str, str]
    database: Database = field(init=False)

    def __post_init__(self) -> None:
        self.database = Database(self.database_url)

    @property
    def source(self) -> Path:
        return self.folder / "storage"

    @property
    def user_areas(self) -> Path:
        return self.folder / "user_areas"

    @property
    def log_file(self) -> Path:
        return self.folder / "staging_service.log"

    def worker(self) -> int:
        """The process that serves, beneath Granian's own."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return max(int(child) for child in children)

    def stage(self, method: str = "local_copy", *, source: str = "a.fits", **more: Any) -> httpx.Response:
        call = {"path": "/stage_data", "username": "alice", "destination": "b.fits"} | more
        body = {"data": {"local_path_on_storage": source, "relative_path": call["destination"]}}
        # Written by hand: names that are not UTF-8 travel as escaped surrogates.
        return self.client.post(
            call["path"],
            params={"method": method, "username": call["username"], **call.get("params", {})},
            content=json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **call.get("headers", {})},
        )

    def ask(self, *items: tuple[str, str], headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        wanted = [{"source": source, "destination": to} for source, to in items or [("a.fits", "b.fits")]]
        body = {"method": "local_copy", "username": "alice", "items": wanted} | more
        return self.client.post("/requests", json=body, headers=headers or {})

    def end(self, request_id: str, *changes: dict[str, Any]) -> None:
        """Do what a run does: start a request, save what became of its items, close it."""
        start_requests(self.database, [request_id], flow_run_id=None, acting_as="alice")
        files = files_of(self.database, request_id)
        changed: list[Any] = [change | {"id": known.id} for change, known in zip(changes, files, strict=True)]
        save_files(self.database, changed)
        close_requests(self.database, [request_id])

    def keep_behind(self, request_id: str) -> None:
        """Let its user's next requests wait until its run has begun, however long that takes."""
        of_request = update(StagingRequestRow).where(col(StagingRequestRow.id) == request_id)
        of_shard = update(Shard).where(col(Shard.request_id) == request_id)

        def work(session: Session) -> None:
            for its in (of_request, of_shard):
                session.execute(its.values(flow_run_at=now(session) + timedelta(hours=1)))

        self.database.write(work)

    def request(self, request_id: str) -> dict[str, Any]:
        return dict(self.client.get(f"/requests/{request_id}").json())

    def eventually(self, request_id: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while not holds(found := self.request(request_id)):
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
        return found


def _environment(folder: Path, database_url: str, prefect_api: str, settings: dict[str, str]) -> dict[str, str]:
    users = folder / "users.toml"
    users.write_text(f"[users.alice]\nuid = {os.getuid()}\ngid = {os.getgid()}\n")
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_API_URL": prefect_api,
        "PREFECT_API_AUTH_STRING": prefect_password.AUTH_STRING,
        "DO_NOT_TRACK": "1",
        "ALLOWED_METHODS": json.dumps([*METHODS, "jupyter_copy"]),  # as the demo's values file says
        "SOURCE_STORAGE_PATH": str(folder / "storage"),
        "TARGET_STORAGE_PATH": str(folder / "user_areas"),
        "STAGER_DATABASE_URL": database_url,
        "STAGER_USERS_FILE": str(users),
        "STAGER_LOG_FILE": str(folder / "staging_service.log"),
        # Where there is no Prefect, there is little to look for, and each look costs what other tests need.
        **({} if prefect_api == NO_PREFECT else {"STAGER_RECONCILE_INTERVAL": "0.3"}),
        **settings,
    }


@contextmanager
def served_door(
    folder: Path,
    *,
    database_url: str,
    prefect_api: str,
    certificate: Path | None = None,
    prefix: Sequence[str] = (),
    app: str = "stager.app:create_app",
    **settings: str,
) -> Iterator[ServedDoor]:
    """Serve a door as it is served in earnest; with a certificate and its key beside it, by TLS.

    A prefix is a command that starts it: with other rights, say.
    """
    (folder / "storage").mkdir(exist_ok=True)
    (folder / "user_areas").mkdir(exist_ok=True)
    give_records(database_url)
    port = free_port()
    url = f"https://localhost:{port}" if certificate else f"http://127.0.0.1:{port}"
    trusted = ssl.create_default_context(cafile=certificate) if certificate else None
    command = [
        *prefix,
        sys.executable,
        "-m",
        "granian",
        "--interface",
        "asgi",
        "--factory",
        app,
    ]
    options = ["--http", "1", "--host", "127.0.0.1", "--port", str(port), "--no-access-log"]
    options += ["--workers-kill-timeout", "10"]
    if certificate:
        options += ["--ssl-certificate", str(certificate), "--ssl-keyfile", str(certificate.with_suffix(".key"))]
        settings["STAGER_PUBLIC_URL"] = url
    log = folder / "console.log"
    with ExitStack() as stack:
        env = _environment(folder, database_url, prefect_api, settings)
        process = stack.enter_context(running([*command, *options], env=env, log=log))
        client = stack.enter_context(httpx.Client(base_url=url, timeout=PATIENCE, verify=trusted or TRUSTED))
        door = ServedDoor(url, folder, database_url, process, client, env)
        stack.callback(door.database.close)
        wait_for(f"{url}/config/", process, log, trusted)
        yield door


@contextmanager
def dispatcher_of(door: ServedDoor, **settings: str) -> Iterator[Running]:
    """Run the dispatcher as a process of its own, for the records and the Prefect of a door."""
    log = {"STAGER_LOG_FILE": str(door.folder / "dispatcher.log")}
    command = [sys.executable, "-m", "stager.dispatch"]
    with running(command, env=door.environment | log | settings, log=door.folder / "dispatcher_console.log") as process:
        yield process


@pytest.fixture(scope="session")
def dispatch() -> Callable[..., AbstractContextManager[Running]]:
    """How to run the dispatcher beside a door."""
    return dispatcher_of


@pytest.fixture(scope="session")
def serve() -> Callable[..., AbstractContextManager[ServedDoor]]:
    """How to serve a door of a test's own."""
    return served_door


class Gate:
    """A way to a server that can be shut, and that can lose its answers."""

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.is_open = True
        self.loses_answer_to = b""
        self.lost = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        if not self.is_open:
            client.close()
            return
        server = socket.create_connection(("127.0.0.1", self._server_port))
        link = _Link()
        threading.Thread(target=self._ask, args=(client, server, link), daemon=True).start()
        with client, server, suppress(OSError):
            while (answer := server.recv(1 << 16)) and self.is_open:
                if link.loses_answer:
                    self.lost += 1
                    break
                client.sendall(answer)
            _shut(client, server)

    def _ask(self, client: socket.socket, server: socket.socket, link: _Link) -> None:
        with suppress(OSError):
            while (asked := client.recv(1 << 16)) and self.is_open:
                link.loses_answer |= bool(self.loses_answer_to) and self.loses_answer_to in asked
                server.sendall(asked)
            _shut(client, server)


@dataclass(eq=False)
class _Link:
    loses_answer: bool = False


def _shut(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@dataclass(eq=False)
class PrefectServer:
    """A real Prefect server without a worker: the tests say what becomes of its runs."""

    api: str
    gate: Gate
    client: httpx.Client
    home: Path

    @property
    def gated_api(self) -> str:
        return f"http://127.0.0.1:{self.gate.port}/api"

    def register(self, name: str) -> None:
        """Make the deployment of a flow for what is on record."""
        flow = self.client.post("/flows/", json={"name": name}).raise_for_status().json()
        deployment = {"name": f"{name}-from-api", "flow_id": flow["id"], "enforce_parameter_schema": False}
        self.client.post("/deployments/", json=deployment).raise_for_status()

    def runs(self, request_id: str) -> list[dict[str, Any]]:
        body = {"flow_runs": {"idempotency_key": {"any_": [request_id]}}}
        found = self.client.post("/flow_runs/filter", json=body).raise_for_status().json()
        return [run for run in found if run["parameters"] == {"request_ids": [request_id]}]

    def end(self, flow_run_id: str, state: str, message: str = "") -> None:
        body = {"state": {"type": state, "message": message}, "force": True}
        self.client.post(f"/flow_runs/{flow_run_id}/set_state", json=body).raise_for_status()

    def delete(self, flow_run_id: str) -> None:
        self.client.delete(f"/flow_runs/{flow_run_id}").raise_for_status()


@pytest.fixture(scope="session")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    home = tmp_path_factory.mktemp("prefect")
    give_database(home)
    port = free_port()
    api = f"http://127.0.0.1:{port}/api"
    env = {
        **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": api,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_UI_ENABLED": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        **prefect_password.VARIABLES,
        "DO_NOT_TRACK": "1",
    }
    command = [sys.executable, "-m", "deployments.prefect_server"]
    log = home / "server.log"
    # No connection is kept: the server may close it just when it is used again.
    fresh = httpx.Limits(max_keepalive_connections=0)
    with (
        running(command, env=env, log=log) as process,
        httpx.Client(base_url=api, auth=prefect_password.AUTH, timeout=PATIENCE, limits=fresh) as client,
    ):
        wait_for(f"{api}/ready", process, log)
        gate = Gate(port)
        server = PrefectServer(api, gate, client, home)
        server.register("local-copy")
        yield server
        gate.close()


@pytest.fixture(scope="session", params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)])
def new_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    """What makes a database for each door: what one leaves open, another's reconciler would take up."""
    if request.param == "sqlite":
        return lambda: f"sqlite:///{tmp_path_factory.mktemp('records')}/records.db"
    server = request.getfixturevalue("mariadb_server")
    return lambda: str(server.create_database())


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A folder for a door whose areas users may enter."""
    with open_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def lone_door(new_database: Callable[[], str]) -> Iterator[ServedDoor]:
    """A door without Prefect that keeps nobody waiting."""
    with (
        open_folder() as folder,
        served_door(folder, database_url=new_database(), prefect_api=NO_PREFECT, STAGER_WAIT="0.2") as door,
    ):
        yield door


@pytest.fixture(scope="session")
def door_behind_nginx() -> Iterator[ServedDoor]:
    """A door that leaves large files to an nginx in front."""
    with open_folder() as folder:
        url = f"sqlite:///{folder}/records.db"
        with served_door(folder, database_url=url, prefect_api=NO_PREFECT, **behind_nginx.VARIABLES) as served:
            yield served


@pytest.fixture(scope="session")
def door(
    prefect: PrefectServer, new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedDoor]:
    """A door with Prefect behind a gate, that waits for the outcome as long as it takes."""
    folder = tmp_path_factory.mktemp("door")
    with served_door(folder, database_url=new_database(), prefect_api=prefect.gated_api, STAGER_WAIT="60") as served:
        yield served


@pytest.fixture
def brief_door(prefect: PrefectServer, database_url: str, open_path: Path) -> Iterator[ServedDoor]:
    """A door with records of its own, which takes a writer for dead after a second's silence."""
    settings: dict[str, Any] = {"STAGER_LEASE": "0.5", "STAGER_WAIT": "0"}
    with served_door(open_path, database_url=database_url, prefect_api=prefect.gated_api, **settings) as served:
        yield served


@pytest.fixture
def narrow_door(database_url: str, tmp_path: Path) -> Iterator[ServedDoor]:
    """A door without Prefect, with records of its own, that takes little at once."""
    limits: dict[str, Any] = {"STAGER_MAX_ITEMS": "1500", "STAGER_MAX_MANIFEST_BYTES": "100000"}
    with served_door(tmp_path, database_url=database_url, prefect_api=NO_PREFECT, **limits) as served:
        yield served


@pytest.fixture
def gate(prefect: PrefectServer) -> Iterator[Gate]:
    """The way to Prefect, open again afterwards."""
    yield prefect.gate
    prefect.gate.is_open, prefect.gate.loses_answer_to = True, b""
