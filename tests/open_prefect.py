"""A Prefect that asks for no password, for tests in whose process it is used."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from tests.ports import free_port
from tests.prefect_database import give_database
from tests.running import running, wait_for


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
    api, log = f"http://127.0.0.1:{port}/api", home / "server.log"
    with running(command, env=os.environ | settings, log=log) as server:
        wait_for(f"{api}/health", server, log)
        with temporary_settings({PREFECT_HOME: home, PREFECT_API_URL: api}):
            yield api
