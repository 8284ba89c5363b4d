"""A whole site that Alice attacks: root's service with authentication on, Prefect and a worker."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

from tests import prefect_password
from tests.attacks.world import USERS_FILE, World
from tests.open_folder import open_folder
from tests.patience import PATIENCE
from tests.ports import free_port
from tests.prefect_database import give_database
from tests.running import running
from tests.service.access.conftest import ONE_ISSUER, Provider
from tests.service.conftest import ServedDoor, served_door

GRANTS = """
[everyone]
methods = ["*"]
read = ["source", "user"]
write = ["*"]

[users.operator]
methods = ["*"]
read = ["*"]
write = ["*"]
role = "admin"
"""
CHECKOUT = Path(__file__).parents[2]
NUMBER = re.compile(rb'"http_request_id":"[0-9a-f]+"')
METHODS = ("local_copy", "local_symlink", "symlink_copy")


@dataclass(frozen=True)
class Answer:
    """What came back for a call."""

    status: int
    body: bytes

    @property
    def is_refusal(self) -> bool:
        return 400 <= self.status < 500


@dataclass
class Site:
    """The service, whoever calls it, and what is in its areas."""

    world: World
    http: httpx.Client
    prefect: httpx.Client
    bearers: dict[str, dict[str, str]]

    def call(self, who: str, verb: str, path: str, **more: Any) -> httpx.Response:
        """Return what somebody is answered."""
        headers = {**self.bearers.get(who, {}), **more.pop("headers", {})}
        return self.http.request(verb, path, headers=headers, **more)

    def answer(self, verb: str, path: str, **more: Any) -> Answer:
        """Return what Alice is answered, without the call's own number."""
        got = self.call("alice", verb, path, **more)
        return Answer(got.status_code, NUMBER.sub(b"", got.content))

    def staged(
        self, who: str = "alice", source: str = "a.fits", destination: str = "staged", **terms: str
    ) -> dict[str, Any]:
        """Stage something for somebody and return its record."""
        body = {"method": "local_copy", "items": [{"source": source, "destination": destination}], **terms}
        request_id = self.call(who, "POST", "/requests", json=body).raise_for_status().json()["request_id"]
        return self.ended(request_id, who)

    def ended(self, request_id: str, who: str = "alice") -> dict[str, Any]:
        """Return a request with its items once it has ended."""
        found: dict[str, Any] = {}

        def has_ended() -> bool:
            found.update(self.call(who, "GET", f"/requests/{request_id}").raise_for_status().json())
            return found["status"] not in {"submitted", "started"}

        eventually(has_ended)
        return found

    def swept(self) -> str:
        """Run the sweep, and return what it says."""
        deployment = self.prefect.get("/deployments/name/sweep/sweep").json()["id"]
        run = self.prefect.post(f"/deployments/{deployment}/create_flow_run", json={"state": {"type": "SCHEDULED"}})
        address = f"/flow_runs/{run.raise_for_status().json()['id']}"
        final = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
        eventually(lambda: self.prefect.get(address).json()["state"]["type"] in final)
        state: dict[str, str] = self.prefect.get(address).json()["state"]
        assert state["type"] == "COMPLETED", state
        return state["message"]

    @cached_property
    def operations(self) -> dict[str, dict[str, Any]]:
        """What can be called, by verb and path, as the service itself says."""
        document = self.call("alice", "GET", "/openapi.json").raise_for_status().json()
        shared = {
            f"#/components/parameters/{name}": said for name, said in document["components"]["parameters"].items()
        }
        calls = {
            f"{verb.upper()} {path}": said for path, verbs in document["paths"].items() for verb, said in verbs.items()
        }
        for said in calls.values():
            said["parameters"] = [shared.get(one.get("$ref"), one) for one in said.get("parameters", ())]
        return calls


def eventually(holds: Callable[[], bool]) -> None:
    """Return once something holds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.1)


@contextmanager
def provider() -> Iterator[Provider]:
    """Run an issuer."""
    issuer = Provider()
    try:
        issuer.start()
        yield issuer
    finally:
        issuer.stop()


@contextmanager
def attacked_site() -> Iterator[Site]:
    """Run a site until the end of the block; users may enter the folder that its areas are in, and not its state."""
    with open_folder() as folder, provider() as issuer:
        world = World(folder / "storage", folder / "user_areas")
        for area in (world.storage, world.areas):
            area.mkdir()
        world.build()
        (folder / "state").mkdir(mode=0o700)
        (folder / "access.toml").write_text(ONE_ISSUER.format(url=issuer.url) + GRANTS)
        (folder / "people.toml").write_text(USERS_FILE)
        with _parts(folder, world) as (door, prefect):
            yield Site(world, door.client, prefect, _bearers(issuer))


@contextmanager
def _parts(folder: Path, world: World) -> Iterator[tuple[ServedDoor, httpx.Client]]:
    """Start what `make up` starts; each part has all of a processor that it gets, and as long as it takes."""
    state, port = folder / "state", free_port()
    settings: dict[str, Any] = _settings(folder)
    env = _environment(state, port) | settings
    env |= {"SOURCE_STORAGE_PATH": str(world.storage), "TARGET_STORAGE_PATH": str(world.areas)}
    with ExitStack() as stack:
        give_database(Path(env["PREFECT_HOME"]))
        server = [sys.executable, "-m", "deployments.prefect_server"]
        stack.enter_context(running(server, env=env, log=state / "prefect.log"))
        url, api = settings["STAGER_DATABASE_URL"], env["PREFECT_API_URL"]
        door = stack.enter_context(served_door(folder, database_url=url, prefect_api=api, **settings))
        # No connection is kept: a server may close it just when it is used again.
        fresh = httpx.Limits(max_keepalive_connections=0)
        prefect = stack.enter_context(
            httpx.Client(base_url=api, auth=prefect_password.AUTH, timeout=PATIENCE, limits=fresh)
        )
        eventually(lambda: _is_ready(prefect))
        register = [sys.executable, "-m", "deployments.register"]
        subprocess.run(register, env=env, cwd=CHECKOUT, check=True, capture_output=True)
        work = ["-m", "workers", "worker", "start", "--pool", "staging", "--type", "warm", "--name", "w"]
        log = state / "worker.log"
        stack.enter_context(running([sys.executable, *work], env=env, log=log))
        eventually(lambda: "started!" in log.read_text())
        yield door, prefect


def _is_ready(prefect: httpx.Client) -> bool:
    with suppress(httpx.HTTPError):
        return prefect.get("/ready").is_success
    return False


def _settings(folder: Path) -> dict[str, str]:
    state = folder / "state"
    return {
        "STAGER_DATABASE_URL": f"sqlite:///{state}/records.db",
        "STAGER_ACCESS_FILE": str(folder / "access.toml"),
        "STAGER_USERS_FILE": str(folder / "people.toml"),
        "STAGER_LOG_FILE": str(state / "staging_service.log"),
        "STAGER_CREATE_FILE_BYTES": "1000",
        "ALLOWED_METHODS": json.dumps([*METHODS, "direct_download"]),
    }


def _environment(state: Path, port: int) -> dict[str, str]:
    """Return what Prefect, the registration and the worker are told."""
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
        "PYTHONPATH": str(CHECKOUT),
        "PREFECT_HOME": str(state / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_UI_ENABLED": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_WORKER_PREFETCH_SECONDS": "0",
        "DO_NOT_TRACK": "1",
        **prefect_password.VARIABLES,
    }


def _bearers(issuer: Provider) -> dict[str, dict[str, str]]:
    names = ("alice", "bob", "operator")
    return {name: {"Authorization": f"Bearer {issuer.token(name, preferred_username=name)}"} for name in names}
