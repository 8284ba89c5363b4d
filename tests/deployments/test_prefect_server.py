"""Prefect's server is behind a lock: a password for whoever asks, and nothing for another site's pages."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from tests import prefect_password
from tests.patience import PATIENCE
from tests.ports import free_port
from tests.prefect_database import give_database
from tests.tls import TRUSTED

pytestmark = pytest.mark.stack

CHECKOUT = Path(__file__).parents[2]
SOMEBODY = 65534
EVIL = "http://evil.example"
SOCKETS = (
    "/api/events/in",
    "/api/events/out",
    "/api/logs/out",
    "/api/task_runs/subscriptions/scheduled",
    "/api/work_pools/staging/workers/connect",
)
WORKER = ["-m", "workers", "worker", "start", "--pool", "staging", "--type", "warm"]
HOSTS = ["evil.example", "127.0.0.1.evil.example", "ephemeral-prefect", "10.0.0.1", "[::2]", "", "localhost:x@evil"]


@dataclass(frozen=True)
class Server:
    """A Prefect server of a site that calls it by a name of its own."""

    port: int
    client: httpx.Client
    known: httpx.Client

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder, port = tmp_path_factory.mktemp("prefect"), free_port()
    give_database(folder)
    variables = {
        "PREFECT_HOME": str(folder),
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_UI_URL": "https://pages.example:8443",
        "PREFECT_SERVER_UI_API_URL": "/api",
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(folder / "ui"),
        "PREFECT_SERVER_METRICS_ENABLED": "true",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "STAGER_PREFECT_HOSTS": '["site-prefect"]',
        "DO_NOT_TRACK": "1",
        **prefect_password.VARIABLES,
    }
    url = f"http://127.0.0.1:{port}"
    fresh = httpx.Limits(max_keepalive_connections=0)
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command(), env=os.environ | variables, cwd=CHECKOUT, stdout=log, stderr=log) as process,
        httpx.Client(base_url=url, timeout=PATIENCE, limits=fresh) as client,
        httpx.Client(base_url=url, timeout=PATIENCE, limits=fresh, auth=prefect_password.AUTH) as known,
    ):
        try:
            wait_for(f"{url}/api/ready", process)
            yield Server(port, client, known)
        finally:
            process.terminate()


def command() -> list[str]:
    return [sys.executable, "-m", "deployments.prefect_server"]


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with suppress(httpx.HTTPError):
            if httpx.get(url, timeout=10, verify=TRUSTED).is_success:
                return
        assert process.poll() is None
        time.sleep(0.1)


def test_it_does_not_start_without_a_password(tmp_path: Path) -> None:
    without = {name: value for name, value in os.environ.items() if name not in prefect_password.VARIABLES}
    for empty in ({}, {"PREFECT_SERVER_API_AUTH_STRING": ""}):
        environment = {**without, "PREFECT_HOME": str(tmp_path), **empty}
        ended = subprocess.run(command(), env=environment, cwd=CHECKOUT, capture_output=True, text=True, check=False)
        assert ended.returncode == 1
        assert "Set PREFECT_SERVER_API_AUTH_STRING=USER:PASSWORD" in ended.stderr


@pytest.mark.parametrize("program", [["-m", "deployments.register"], WORKER], ids=["registration", "worker"])
def test_what_starts_with_a_wrong_password_ends_with_a_sentence(
    server: Server, program: list[str], tmp_path: Path
) -> None:
    asks = {"PREFECT_API_URL": f"{server.origin}/api", "PREFECT_API_AUTH_STRING": "tests:wrong"}
    environment = {**os.environ, "PREFECT_HOME": str(tmp_path), **asks}
    run = [sys.executable, *program]
    ended = subprocess.run(run, env=environment, cwd=CHECKOUT, capture_output=True, text=True, check=False)

    assert ended.returncode == 1
    assert f"{server.origin}/api refuses the password: let PREFECT_API_AUTH_STRING be what its server" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "tests:wrong" not in ended.stdout + ended.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another account")
def test_another_local_account_gets_no_flow_run_without_the_password(server: Server) -> None:
    flow = server.known.post("/api/flows/", json={"name": "theirs"}).raise_for_status().json()["id"]
    attack = json.dumps({"flow_id": flow, "job_variables": {"command": "id"}})
    curl = ["curl", "--silent", "--write-out", "%{http_code}", "--output", "/dev/null"]
    more = ["--header", "Content-Type: application/json", "--data", attack, f"{server.origin}/api/flow_runs/"]
    for password in ([], ["--user", "tests:guessed"], ["--user", "tests"]):
        tried = subprocess.run(
            [*curl, *password, *more],
            user=SOMEBODY,
            group=SOMEBODY,
            extra_groups=[],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert tried.stdout == "401", tried
    assert server.known.post("/api/flow_runs/filter", json={}).json() == []


@pytest.mark.parametrize("path", ["/api/version", "/api/admin/settings", "/api/metrics", "/api/docs", "/api//health"])
def test_every_call_but_health_and_readiness_needs_the_password(server: Server, path: str) -> None:
    assert server.client.get(path).status_code == 401
    assert server.client.get(path, auth=("tests", "guessed")).status_code == 401
    assert server.client.get(path, headers={"Authorization": "Bearer x"}).status_code == 401


@pytest.mark.parametrize("host", [None, "10.42.0.7:4200", "prefect.elsewhere"])
def test_health_and_readiness_are_asked_by_anybody_and_by_any_name(server: Server, host: str | None) -> None:
    headers = {"Host": host} if host else {}

    assert server.client.get("/api/health", headers=headers).json() is True
    assert server.client.get("/api/ready", headers=headers).status_code == 200
    assert server.known.get("/api/metrics", headers=headers).status_code == 200


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:4200", "127.0.0.1:1", "[::1]:4200", "site-prefect:4200"])
def test_it_answers_by_its_own_names(server: Server, host: str) -> None:
    assert server.known.get("/api/version", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", HOSTS)
def test_it_answers_by_no_other_name_even_with_the_password(server: Server, host: str) -> None:
    for path in ("/api/version", "/", "/ui-settings"):
        answer = server.known.get(path, headers={"Host": host})
        assert answer.status_code in {400, 403}
        assert "Uvicorn" not in answer.text


@pytest.mark.parametrize("heads", ["", "Host: localhost\r\nHost: evil.example\r\n"])
def test_a_call_names_one_host(server: Server, heads: str) -> None:
    async def call() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(f"GET /api/health HTTP/1.1\r\n{heads}Connection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        return answer

    assert b" 400 " in asyncio.run(call()).splitlines()[0]


@pytest.mark.parametrize("origin", [EVIL, "null", "http://127.0.0.1:1", "http://localhost", "https://site-prefect"])
@pytest.mark.parametrize("verb", ["GET", "POST", "OPTIONS"])
def test_another_sites_page_gets_nothing_even_with_the_password(server: Server, verb: str, origin: str) -> None:
    asks = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    answer = server.known.request(verb, "/api/flows/filter", headers=asks, json={})

    assert answer.status_code == 403
    assert [name for name in answer.headers if name.startswith("access-control")] == []


def test_its_own_pages_ask_for_the_password_and_work_with_it(server: Server) -> None:
    page = server.client.get("/", headers={"Accept": "text/html"}, follow_redirects=True)
    about = server.client.get("/ui-settings").json()
    typed = b64encode(prefect_password.AUTH_STRING.encode()).decode()
    asks = {"Origin": server.origin, "Authorization": f"Basic {typed}"}
    answer = server.client.post("/api/flows/filter", json={}, headers=asks)

    assert "<html" in page.text
    assert page.headers["Content-Security-Policy"] == "connect-src 'self'; frame-ancestors 'self'"
    assert (about["auth"], about["api_url"]) == ("BASIC", "/api")
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers
    at_their_address = {**asks, "Host": "pages.example:8443", "Origin": "https://pages.example:8443"}
    assert server.client.post("/api/flows/filter", json={}, headers=at_their_address).status_code == 200


def greeting(
    server: Server, path: str, token: str | None, *, protocol: str = "prefect", origin: str | None = None
) -> str:
    """Return what a socket says to whoever opens it: an answer, or why it was closed."""

    async def ask() -> str:
        head = {"Origin": origin} if origin else {}
        url = f"ws://127.0.0.1:{server.port}{path}"
        try:
            async with connect(url, subprotocols=[Subprotocol(protocol)], additional_headers=head) as socket:
                await socket.send(json.dumps({"type": "auth", "token": token}))
                return str(json.loads(await socket.recv())["type"])
        except InvalidStatus as refused:
            return str(refused.response.status_code)
        except ConnectionClosed as closed:
            return str(closed.rcvd and closed.rcvd.code)

    return asyncio.run(ask())


@pytest.mark.parametrize("path", SOCKETS)
def test_a_websocket_opens_with_the_password_only_and_to_no_other_site(server: Server, path: str) -> None:
    assert greeting(server, path, prefect_password.AUTH_STRING) == "auth_success"
    assert greeting(server, path, None) == "1008"
    assert greeting(server, path, "tests:guessed") == "1008"
    assert greeting(server, path, prefect_password.AUTH_STRING, protocol="other") == "403"
    assert greeting(server, path, prefect_password.AUTH_STRING, origin=EVIL) == "403"
