"""A Prefect of a site's own, behind a proxy that speaks TLS: it wants a password and CSRF tokens."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
import pytest

from stager.dispatch.prefect import CANCELLED, PrefectClient
from stager.errors import PrefectUnavailable
from stager.prefect_http import PrefectAuth, prefect_trust
from stager.records.runs import RunGroup
from stager.settings import Settings
from stager.vocabulary import Pool
from tests import prefect_password
from tests.gfal import make_certificate
from tests.patience import PATIENCE
from tests.ports import free_port
from tests.prefect_database import give_database
from tests.running import running

if TYPE_CHECKING:
    from tests.service.conftest import ServedDoor

pytestmark = [pytest.mark.any_database, pytest.mark.stack]

Serve = Callable[..., AbstractContextManager["ServedDoor"]]
CHECKOUT = Path(__file__).parents[3]
# How long a CSRF token counts, in seconds.
TOKEN_LIFE = 5
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
FRONT = Template("""
daemon off;
pid $folder/nginx.pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path $folder/body;
    proxy_temp_path $folder/proxy;
    fastcgi_temp_path $folder/fastcgi;
    uwsgi_temp_path $folder/uwsgi;
    scgi_temp_path $folder/scgi;
    server {
        listen 127.0.0.1:$tls_port ssl;
        ssl_certificate $certificate;
        ssl_certificate_key $key;
        location / { proxy_pass http://127.0.0.1:$port; }
    }
}
""")


@dataclass(frozen=True)
class Guarded:
    """A Prefect of a site: it wants a password and CSRF tokens, and has a certificate that nobody else knows."""

    api: str
    certificate: Path

    @property
    def variables(self) -> dict[str, str]:
        """What whoever asks it is told."""
        return {
            "PREFECT_API_URL": self.api,
            "PREFECT_API_AUTH_STRING": prefect_password.AUTH_STRING,
            "PREFECT_API_SSL_CERT_FILE": str(self.certificate),
        }

    def settings(self, **other: Any) -> Settings:
        return Settings(**self.variables | other)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    if NGINX is None:
        pytest.skip("needs nginx (Debian: apt-get install nginx-light)")
    folder, port, tls_port = tmp_path_factory.mktemp("prefect"), free_port(), free_port()
    made = Guarded(f"https://localhost:{tls_port}/api", make_certificate(folder))
    environment = {
        **os.environ,
        "PREFECT_HOME": str(folder),
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_ENABLED": "false",
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_CSRF_TOKEN_EXPIRATION": f"PT{TOKEN_LIFE}S",
        "DO_NOT_TRACK": "1",
        **prefect_password.VARIABLES,
    }
    give_database(folder)
    server = [sys.executable, "-m", "deployments.prefect_server"]
    words = {"folder": folder, "certificate": made.certificate, "key": made.certificate.with_suffix(".key")}
    (folder / "nginx.conf").write_text(FRONT.substitute(words, port=port, tls_port=tls_port))
    front = [NGINX, "-c", str(folder / "nginx.conf")]
    log = folder / "server.log"
    with running(server, env=environment, log=log) as process, running(front, env=environment, log=log):
        deadline = time.monotonic() + PATIENCE
        while not is_there(made):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        register(made)
        yield made


def is_there(guarded: Guarded) -> bool:
    try:
        asyncio.run(asked(guarded.settings(), PrefectClient.check))
    except PrefectUnavailable:
        return False
    return True


def register(guarded: Guarded) -> None:
    settings = guarded.settings()
    with httpx.Client(base_url=guarded.api, auth=PrefectAuth(settings), verify=prefect_trust(settings)) as client:
        flow = client.post("/flows/", json={"name": "local-copy"}).raise_for_status().json()
        deployment = {"name": "local-copy-from-api", "flow_id": flow["id"], "enforce_parameter_schema": False}
        client.post("/deployments/", json=deployment).raise_for_status()


async def asked(settings: Settings, ask: Callable[[PrefectClient], Any]) -> Any:
    async with PrefectClient(settings) as prefect:
        return await ask(prefect)


def group() -> RunGroup:
    return RunGroup(key=uuid4().hex, username="alice", method="local_copy", request_ids=("1",), pool=Pool.WARM)


def test_a_prefect_that_wants_csrf_tokens_is_asked_with_one(guarded: Guarded) -> None:
    async def make_and_end(prefect: PrefectClient) -> str:
        run = await prefect.create_flow_run(group())
        await prefect.end_flow_run(run, state=CANCELLED, message="enough")
        return (await prefect.read_flow_runs([run]))[run].state

    assert asyncio.run(asked(guarded.settings(), make_and_end)) == CANCELLED


def test_who_ask_at_once_for_their_first_token_hinder_one_another_in_nothing(guarded: Guarded) -> None:
    async def make_some(prefect: PrefectClient) -> list[str]:
        return await asyncio.gather(*(prefect.create_flow_run(group()) for _ in range(5)))

    assert len(set(asyncio.run(asked(guarded.settings(), make_some)))) == 5


def test_a_token_that_counts_no_more_is_replaced(guarded: Guarded) -> None:
    async def make_early_and_late(prefect: PrefectClient) -> tuple[str, str]:
        early = await prefect.create_flow_run(group())
        await asyncio.sleep(TOKEN_LIFE + 1)
        return early, await prefect.create_flow_run(group())

    early, late = asyncio.run(asked(guarded.settings(), make_early_and_late))
    assert early != late


def test_a_wrong_password_is_named_before_any_token(guarded: Guarded) -> None:
    with pytest.raises(PrefectUnavailable, match="PREFECT_API_AUTH_STRING is not its password"):
        asyncio.run(
            asked(guarded.settings(PREFECT_API_AUTH_STRING="tests:wrong"), lambda it: it.create_flow_run(group()))
        )


def test_a_certificate_that_nobody_vouches_for_is_refused_unless_any_will_do(guarded: Guarded) -> None:
    with pytest.raises(PrefectUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        asyncio.run(asked(guarded.settings(PREFECT_API_SSL_CERT_FILE=None), PrefectClient.check))
    careless = {"PREFECT_API_SSL_CERT_FILE": None, "PREFECT_API_TLS_INSECURE_SKIP_VERIFY": True}
    asyncio.run(asked(guarded.settings(**careless), PrefectClient.check))


def test_a_door_hands_requests_to_such_a_prefect(guarded: Guarded, serve: Serve, tmp_path: Path) -> None:
    where = {"database_url": f"sqlite:///{tmp_path}/records.db", "prefect_api": guarded.api}
    with serve(tmp_path, **where, **guarded.variables, STAGER_WAIT="0") as door:
        request_id = door.ask().json()["request_id"]
        assert door.eventually(request_id, lambda seen: seen["flow_run_id"])["status"] == "submitted"
        assert door.client.get("/health/ready").json()["status"] == "ready"


def run(tmp_path: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {"PREFECT_HOME": str(tmp_path), **variables}
    program = [sys.executable, *arguments]
    return subprocess.run(program, env=environment, cwd=CHECKOUT, capture_output=True, text=True, check=False)


def test_a_worker_is_told_apart_a_wrong_password_and_a_wrong_key(guarded: Guarded, tmp_path: Path) -> None:
    check = ["-c", "from workers.password_check import check_password; check_password()"]
    right = guarded.variables
    assert run(tmp_path, *check, **right).returncode == 0
    wrong = run(tmp_path, *check, **right | {"PREFECT_API_AUTH_STRING": "tests:wrong"})
    assert f"{guarded.api} refuses the password: " in wrong.stderr
    wrong = run(tmp_path, *check, **right | {"PREFECT_API_AUTH_STRING": "", "PREFECT_API_KEY": "pnu_wrong"})
    assert f"{guarded.api} refuses the key: PREFECT_API_KEY is not one of its keys" in wrong.stderr


def test_the_registration_finds_such_a_prefect_there(guarded: Guarded, tmp_path: Path) -> None:
    register_when_ready = ["-m", "deployments.local.when_ready", f"{guarded.api}/health", "deployments.register"]
    ended = run(tmp_path, *register_when_ready, **guarded.variables)
    assert ended.returncode == 0, ended.stderr
    assert asyncio.run(asked(guarded.settings(), lambda prefect: prefect.check_method("symlink_copy"))) is None
