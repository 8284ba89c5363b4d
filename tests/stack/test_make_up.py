"""Starting and stopping: what a newcomer meets."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

pytestmark = pytest.mark.stack


def launched(**variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deployments.local"]
    return subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, check=False, timeout=60
    )


def test_a_port_in_use_is_named_with_what_to_do(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
        ended = launched(STAGER_STATE_DIR=str(tmp_path), PREFECT_SERVER_API_PORT=str(port))
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"Port {port} is in use by process {os.getpid()} (")
    assert f"PREFECT_SERVER_API_PORT={port + 1}" in ended.stderr


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = launched(STAGER_STATE_DIR=str(tmp_path / "file"))
    assert ended.returncode == 1
    assert "STAGER_STATE_DIR" in ended.stderr
