"""A real JupyterHub, started once, and clients that ask it."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from stager.peers.http import Calls
from stager.peers.jupyter import Contents, Hub, ServerState, start
from stager.peers.jupyter.names import user_in_address
from tests.open_folder import open_folder
from tests.patience import PATIENCE
from tests.peers.running_hub import RunningHub, is_installed
from tests.peers.tls_front import TlsFront


@pytest.fixture(scope="session")
def running_hub() -> Iterator[RunningHub]:
    """The session's hub, with all its users' servers down: leave it running."""
    if not is_installed():
        pytest.skip("needs JupyterHub and its proxy (`make test` installs them)")
    with open_folder() as folder:
        hub = RunningHub(folder)
        try:
            hub.start()
            yield hub
        finally:
            hub.stop()
            deadline = time.monotonic() + PATIENCE
            while (left := hub.pids()) and time.monotonic() < deadline:
                time.sleep(0.05)
            assert left == []


@pytest.fixture(scope="session")
def calls() -> Iterator[Calls]:
    with Calls() as calls:
        yield calls


@pytest.fixture(scope="session")
def hub(running_hub: RunningHub, calls: Calls) -> Hub:
    return Hub(running_hub.url, SecretStr(running_hub.tokens["staging"]), calls)


@pytest.fixture
def tls_front(running_hub: RunningHub, tmp_path: Path) -> Iterator[TlsFront]:
    """TLS before the hub, by a certificate of nobody's."""
    with TlsFront(tmp_path, httpx.URL(running_hub.url).port or 80).running() as front:
        yield front


@pytest.fixture(scope="session")
def server(hub: Hub) -> ServerState:
    """alice's notebook server, which runs: leave it running."""
    return start(hub, "alice", within_seconds=PATIENCE, on_progress=lambda _: None)


@pytest.fixture(scope="session")
def token(hub: Hub, server: ServerState) -> Iterator[SecretStr]:
    """A token for alice's server alone."""
    with hub.token_for(server) as token:
        yield token


def make_server(hub: Hub, username: str, name: str) -> None:
    """Have a user make a notebook server of that name, which is not started."""
    made = hub.ask("PUT", f"users/{user_in_address(username)}/servers/{user_in_address(name)}", {})
    assert made.status in {httpx.codes.CREATED, httpx.codes.CONFLICT}


@pytest.fixture
def contents(calls: Calls, server: ServerState, token: SecretStr) -> Contents:
    """The files of alice's server."""
    return Contents(calls, server, token)


@pytest.fixture
def folder(contents: Contents) -> str:
    """A folder of the test's own at alice's server."""
    name = f"test-{uuid.uuid4().hex}"
    contents.make_directories(name)
    return name


@pytest.fixture
def on_disk(running_hub: RunningHub, folder: str) -> Path:
    """The same folder, where the server has it."""
    return running_hub.home("alice") / folder


@contextmanager
def opened(path: Path, content: bytes) -> Iterator[int]:
    """Give the descriptor of a file with some content."""
    path.write_bytes(content)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait for what must happen."""
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def shown(folder: Path) -> list[str]:
    """Return what is in a folder and below, without the hidden folder that a rename makes."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.name != ".ipynb_checkpoints")
