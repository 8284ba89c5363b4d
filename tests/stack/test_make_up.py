"""Starting and stopping: what a newcomer meets."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.patience import PATIENCE

pytestmark = pytest.mark.stack
CHECKOUT = Path(__file__).parents[2]


def launched(**variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deployments.local"]
    return subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, check=False, timeout=PATIENCE
    )


def test_a_port_in_use_is_named_with_what_to_do(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
        ended = launched(STAGER_STATE_DIR=str(tmp_path), PREFECT_SERVER_API_PORT=str(port))
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"Port {port} is in use by process {os.getpid()} (")
    assert f"PREFECT_SERVER_API_PORT={port + 1}" in ended.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small disk")
def test_a_disk_that_is_nearly_full_is_named_with_what_to_do(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(tmp_path)], check=True)
    try:
        ended = launched(STAGER_STATE_DIR=str(tmp_path / "state"))
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"The disk of {tmp_path}/state is nearly full: 64 MiB are free, 512 MiB are needed.")
    assert "Make room, or choose another folder with STAGER_STATE_DIR=..." in ended.stderr


def test_a_python_that_is_too_old_is_told_with_what_to_do(tmp_path: Path) -> None:
    old = tmp_path / "python3.10"
    claim = 'import sys; sys.version_info = (3, 10, 13, "final", 0); exec(sys.argv[1])'
    old.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{claim}' \"$2\"\n")
    old.chmod(0o755)
    command = ["deployments/local/environment", str(tmp_path / "venv"), "requirements/local.txt", str(old)]
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=PATIENCE)
    sentence = f"No Python 3.11, 3.12 or 3.13 was found at {old}: install one, or name it with PYTHON=...\n"
    assert (ended.returncode, ended.stderr) == (1, sentence)
    assert not (tmp_path / "venv").exists()


def test_a_machine_without_node_is_told_what_a_hub_needs(tmp_path: Path) -> None:
    command = ["/bin/sh", "deployments/local/hub/install", str(tmp_path)]
    nothing = {"PATH": str(tmp_path)}
    ended = subprocess.run(command, cwd=CHECKOUT, env=nothing, capture_output=True, text=True, check=False)
    sentence = "JupyterHub's proxy needs Node.js 20 or later, with npm: install them, or do without a hub (make up).\n"
    assert (ended.returncode, ended.stderr) == (1, sentence)
    assert [*tmp_path.iterdir()] == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = launched(STAGER_STATE_DIR=str(tmp_path / "file"))
    assert ended.returncode == 1
    assert "STAGER_STATE_DIR" in ended.stderr
