"""A real OpenID provider, and a door that trusts it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.open_folder import open_folder
from tests.patience import PATIENCE
from tests.ports import NO_PREFECT, free_port
from tests.tls import TRUSTED

if TYPE_CHECKING:
    from tests.mariadb import MariaDB
    from tests.service.conftest import ServedDoor

HERE = Path(__file__).parent / "oidc"
AUDIENCE = "data-management-api"
# The access file's beginning, where one issuer is enough.
ONE_ISSUER = f"""
[[issuers]]
url = "{{url}}"
audiences = ["{AUDIENCE}"]
username_claim = "preferred_username"
"""
ACCESS_FILE = """
[[issuers]]
url = "{site}"
audiences = ["{audience}"]
username_claim = "preferred_username"
leeway = 0

[[issuers]]
url = "{iam}"
audiences = ["{audience}"]
profile = "iam"
userinfo = true
username_claim = "preferred_username"
names = {{ alice-of-iam = "alice" }}

[[issuers]]
url = "{wlcg}"
audiences = ["{audience}"]
profile = "wlcg"
names = {{ 0e3ad1ca-7d9c-4f4a-a6f5-9d0f0a1f9a55 = "alice" }}

[[issuers]]
url = "{away}"
audiences = ["{audience}"]

[groups."ska/science"]
methods = ["local_copy", "direct_download"]
areas = ["source", "user"]

[groups."ska/readers"]
methods = ["*"]
areas = ["source"]

[groups."ska/onlookers"]
methods = ["*"]
read = ["source", "user"]

[groups."ska/archivists"]
methods = ["*"]
read = ["source"]
write = ["*"]

[groups."ska/bounded"]
methods = ["*"]
read = ["source:public/data", "user:kept"]
write = ["user"]

[users.fts]
methods = ["*"]
read = ["*"]
write = ["*"]
role = "service"

[users.operator]
methods = ["*"]
read = ["*"]
write = ["*"]
role = "admin"
"""


class Provider:
    """npm's oidc-provider; started again, it has other keys."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [str(shutil.which("node")), str(HERE / "provider.mjs"), str(self.port)]
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(httpx.HTTPError):
                httpx.get(f"{self.url}/jwks", timeout=5, verify=TRUSTED)
                return
            time.sleep(0.05)
        pytest.fail("the OpenID provider did not start")

    def stop(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait(30)

    def token(
        self, sub: str = "a-uuid", *, header: dict[str, Any] | None = None, alg: str = "RS256", **claims: Any
    ) -> str:
        """Return an access token that the provider signed, for a user with some claims."""
        return self._ask(sub, claims, {"header": json.dumps(header or {}), "alg": alg})

    def bare_token(self, sub: str, userinfo: dict[str, Any], *, audience: str = AUDIENCE) -> str:
        """Return a token without any claim of the user's, which only userinfo has: Indigo IAM's default."""
        return self._ask(sub, {"aud": audience}, {"header": '{"typ": "JWT"}', "userinfo": json.dumps(userinfo)})

    def _ask(self, sub: str, claims: dict[str, Any], more: dict[str, str]) -> str:
        words = {"grant_type": "urn:tests:token", "sub": sub, "audience": AUDIENCE, "claims": json.dumps(claims)}
        asked: dict[str, Any] = {"data": {**words, **more}, "auth": ("tests", "tests")}
        answer = httpx.post(f"{self.url}/token", **asked, timeout=30, verify=TRUSTED)
        return str(answer.raise_for_status().json()["access_token"])

    def published_key(self, kind: str = "RSA") -> dict[str, Any]:
        keys = httpx.get(f"{self.url}/jwks", timeout=30, verify=TRUSTED).json()["keys"]
        return next(dict(key) for key in keys if key["kty"] == kind)


def _run_provider() -> Iterator[Provider]:
    if not (shutil.which("node") and (HERE / "node_modules").exists()):
        pytest.skip("needs Node.js and the OpenID provider (deployments/local/test_packages installs it)")
    provider = Provider()
    try:
        provider.start()
        yield provider
    finally:
        provider.stop()


@pytest.fixture(scope="session")
def site() -> Iterator[Provider]:
    """The site's issuer: access tokens by RFC 9068, with the claims that they need."""
    yield from _run_provider()


@pytest.fixture(scope="session")
def iam() -> Iterator[Provider]:
    """An issuer like Indigo IAM."""
    yield from _run_provider()


@pytest.fixture(scope="session")
def wlcg() -> Iterator[Provider]:
    """An issuer of WLCG's profile."""
    yield from _run_provider()


@pytest.fixture
def own_provider() -> Iterator[Provider]:
    """An issuer of the test's own, which it may stop."""
    yield from _run_provider()


@pytest.fixture(scope="session")
def stranger() -> Iterator[Provider]:
    """An issuer that nobody trusts."""
    yield from _run_provider()


@pytest.fixture(scope="session")
def guarded_door(
    *,
    site: Provider,
    iam: Provider,
    wlcg: Provider,
    mariadb_server: MariaDB,
    serve: Callable[..., AbstractContextManager[ServedDoor]],
) -> Iterator[ServedDoor]:
    """A door with authentication on, without Prefect, that keeps nobody waiting."""
    away = "http://127.0.0.1:9"  # as in NO_PREFECT
    rules = ACCESS_FILE.format(site=site.url, iam=iam.url, wlcg=wlcg.url, away=away, audience=AUDIENCE)
    with open_folder() as folder:
        (folder / "access.toml").write_text(rules)
        write_people(folder / "people.toml")
        settings = {
            "STAGER_WAIT": "0",
            "STAGER_CREATE_FILE_BYTES": "1000",
            "STAGER_ACCESS_FILE": str(folder / "access.toml"),
            "STAGER_USERS_FILE": str(folder / "people.toml"),
        }
        url = mariadb_server.create_database()
        with serve(folder, database_url=url, prefect_api=NO_PREFECT, **settings) as door:
            door.source.joinpath("a.fits").write_bytes(b"SIMPLE")
            yield door


def write_people(file: Path) -> None:
    """Write a users file: all have one account, which is no account of the system's."""
    ids = f"uid = {os.getuid() or 70_001}\ngid = {os.getgid() or 70_001}\n"
    file.write_text("".join(f"[users.{name}]\n{ids}" for name in ("alice", "bob", "fts")))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="session")
def alice(site: Provider) -> dict[str, str]:
    return bearer(site.token(preferred_username="alice", groups=["/ska/science"]))


@pytest.fixture(scope="session")
def bob(site: Provider) -> dict[str, str]:
    return bearer(site.token(preferred_username="bob", groups=["ska/science"]))


@pytest.fixture(scope="session")
def fts(site: Provider) -> dict[str, str]:
    return bearer(site.token(preferred_username="fts"))


@pytest.fixture(scope="session")
def operator(site: Provider) -> dict[str, str]:
    return bearer(site.token(preferred_username="operator"))
