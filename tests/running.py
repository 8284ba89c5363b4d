"""Programs that run for as long as a test, and end with it."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.forked import Forked
from tests.patience import PATIENCE
from tests.tls import TRUSTED

# Modules that need not be imported from scratch each time.
IMPORTED = {"granian", "stager.dispatch"}
Running = subprocess.Popen[bytes] | Forked
DIES_WITH_US = ["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []


@contextmanager
def running(command: list[str], *, env: dict[str, str], log: Path) -> Iterator[Running]:
    """Run a program of ours until the body ends, and nothing of it longer."""
    process: Running
    if command[:2] == [sys.executable, "-m"] and command[2] in IMPORTED:
        process = Forked(command[2], command[3:], env=env, log=log)
    else:
        with log.open("ab") as output:
            process = subprocess.Popen([*DIES_WITH_US, *command], env=env, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(url: str, process: Running, log: Path, trusted: ssl.SSLContext | None = None) -> None:
    """Return once an address answers, whatever it does."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(httpx.HTTPError):
            httpx.get(url, timeout=5, verify=trusted or TRUSTED)
            return
        time.sleep(0.1)
    pytest.fail(f"{url} did not come up: {log.read_text()[-3000:]}")
