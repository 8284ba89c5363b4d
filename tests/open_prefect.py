"""A Prefect that asks for no password, for tests in whose process it is used."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from tests.patience import PATIENCE
from tests.ports import free_port
from tests.prefect_database import give_database


@contextmanager
def open_prefect(home: Path) -> Iterator[str]:
    """Run a server with a folder of its own, and give its API's address, which is that of this process meanwhile."""
    give_database(home)
    port = free_port()
    settings = {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    command = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app", f"--port={port}"]
    api = f"http://127.0.0.1:{port}/api"
    with (home / "server.log").open("ab") as log:
        server = subprocess.Popen(command, env=os.environ | settings, stdout=log, stderr=log)
    try:
        _wait_for(f"{api}/health", server, home / "server.log")
        with temporary_settings({PREFECT_HOME: home, PREFECT_API_URL: api}):
            yield api
    finally:
        server.terminate()
        server.wait(PATIENCE)


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while server.poll() is None and time.monotonic() < deadline:
        with suppress(httpx.HTTPError):
            if httpx.get(url, timeout=5).is_success:
                return
        time.sleep(0.1)
    raise AssertionError(log.read_text()[-3000:])
