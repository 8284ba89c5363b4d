"""Debian's gfal2 stages files of the running stack, from the call to the bytes."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from deployments.local.settings import CHECKOUT, LocalSettings, stack_environment
from tests.conftest import free_port
from tests.gfal import Gfal, find_gfal, make_certificate

if TYPE_CHECKING:
    from conftest import Stack

pytestmark = pytest.mark.stack
NAMES = [f"night/{number}.fits" for number in range(50)]


def eventually(holds: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + 90
    while not holds():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


@pytest.fixture
def gfal(tmp_path: Path) -> Gfal:
    """Debian's gfal2, which trusts a certificate of ours."""
    return find_gfal(make_certificate(tmp_path))


@pytest.fixture
def tls(stack: Stack, gfal: Gfal, tmp_path: Path) -> Iterator[str]:
    """The name of a second HTTP service of the stack, by TLS, as grid clients want it."""
    settings = LocalSettings(state_dir=stack.folder, port=free_port(), prefect_port=httpx.URL(stack.prefect).port)
    name = f"localhost:{settings.port}"
    environment = stack_environment(settings) | {"STAGER_PUBLIC_URL": f"https://{name}"}
    options = ["--ssl-certificate", str(gfal.trusted), "--ssl-keyfile", str(gfal.trusted.with_suffix(".key"))]
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--factory", "--port", str(settings.port)]
    trusted = ssl.create_default_context(cafile=gfal.trusted)

    def answers() -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(f"https://{name}/health/ready", verify=trusted).is_success
        return False

    with (log := tmp_path / "console.log").open("wb") as out:
        service = subprocess.Popen(
            [*command, *options, "stager.service.app:create_app"], env=environment, cwd=CHECKOUT, stdout=out, stderr=out
        )
    try:
        eventually(answers, log)
        yield name
    finally:
        service.terminate()
        service.wait(30)


def test_gfal_brings_files_online_and_their_bytes_are_there(stack: Stack, gfal: Gfal, tls: str, tmp_path: Path) -> None:
    (stack.storage / "night").mkdir()
    for name in NAMES:
        (stack.storage / name).write_bytes(os.urandom(5000))
    urls = [f"davs://{tls}/{name}" for name in NAMES]
    metadata = [json.dumps({"ska-staging": {"username": "nobody"}})] * len(urls)
    assert gfal("attribute", url=urls[0], name="user.status").strip() == "NEARLINE"
    token = gfal("bring_online", urls=urls, metadata=metadata, pin=3600)["token"]

    eventually(lambda: gfal("poll", urls=urls, token=token) == [None] * len(urls), tmp_path / "console.log")
    for name in NAMES:
        assert (stack.user_area / name).read_bytes() == (stack.storage / name).read_bytes()
    record = httpx.get(f"{stack.http}/requests/{token}").json()
    assert (record["status"], record["method"], bool(record["flow_run_id"])) == ("completed", "local_copy", True)
    assert gfal("release", urls=urls, token=token) == [None] * len(urls)
