"""Debian's gfal2 stages files of the running stack, from the call to the bytes."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from deployments.local.programs import programs
from deployments.local.settings import LocalSettings, stack_environment
from tests.gfal import Gfal, find_gfal, make_certificate
from tests.ports import free_port
from tests.running import running, wait_for
from tests.stack.conftest import wait_until

if TYPE_CHECKING:
    from tests.stack.conftest import Stack

pytestmark = pytest.mark.stack
NAMES = [f"night/{number}.fits" for number in range(50)]


@pytest.fixture
def gfal(tmp_path: Path) -> Gfal:
    """Debian's gfal2, which trusts a certificate of ours."""
    return find_gfal(make_certificate(tmp_path))


@pytest.fixture
def tls(stack: Stack, gfal: Gfal, tmp_path: Path) -> Iterator[str]:
    """The name of a second HTTP service of the stack, by TLS, as grid clients want it."""
    settings = LocalSettings(state_dir=stack.folder, port=free_port(), prefect_port=httpx.URL(stack.prefect).port)
    name = f"localhost:{settings.port}"
    environment = stack_environment(settings, (stack.closed / "prefect-password").read_text().strip()) | {
        "STAGER_PUBLIC_URL": f"https://{name}"
    }
    [command] = [program.command for program in programs(settings) if program.name == "http-service"]
    by_tls = ["--ssl-certificate", str(gfal.trusted), "--ssl-keyfile", str(gfal.trusted.with_suffix(".key"))]
    trusted, log = ssl.create_default_context(cafile=gfal.trusted), tmp_path / "console.log"
    with running([*command, *by_tls], env=environment, log=log) as process:
        wait_for(f"https://{name}/health/ready", process, log, trusted)
        yield name


def test_gfal_brings_files_online_and_their_bytes_are_there(stack: Stack, gfal: Gfal, tls: str) -> None:
    (stack.storage / "night").mkdir()
    for name in NAMES:
        (stack.storage / name).write_bytes(os.urandom(5000))
    urls = [f"davs://{tls}/{name}" for name in NAMES]
    metadata = [json.dumps({"ska-staging": {"username": "nobody"}})] * len(urls)
    assert gfal("attribute", url=urls[0], name="user.status").strip() == "NEARLINE"
    token = gfal("bring_online", urls=urls, metadata=metadata, pin=3600)["token"]

    wait_until(lambda: gfal("poll", urls=urls, token=token) == [None] * len(urls))
    for name in NAMES:
        assert (stack.user_area / name).read_bytes() == (stack.storage / name).read_bytes()

    def record() -> dict[str, Any]:
        answer: dict[str, Any] = stack.client.get(f"{stack.http}/requests/{token}").json()
        return answer

    # The last file is there a moment before its request is closed.
    wait_until(lambda: record()["status"] == "completed")
    assert (record()["method"], bool(record()["flow_run_id"])) == ("local_copy", True)
    assert gfal("release", urls=urls, token=token) == [None] * len(urls)
