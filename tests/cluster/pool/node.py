"""The node itself, where this machine is the cluster's: its kubelet and the processes of its pods."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def kubelet() -> int:
    """Return the process that is this machine's kubelet."""
    found = [process for process in _processes() if _read(process, "comm") == b"kubelet\n"]
    if not found or os.geteuid() != 0:
        pytest.skip("needs root on a machine that is the cluster's node")
    return found[0]


def processes_of(flow_run: str) -> list[int]:
    """Return the processes of a run's pod, its first one first."""
    mark = f"PREFECT__FLOW_RUN_ID={flow_run}".encode()
    return [process for process in _processes() if mark in _read(process, "environ").split(b"\0")]


@contextmanager
def stopped(process: int) -> Iterator[None]:
    """Let a process do nothing until the body ends."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def _processes() -> list[int]:
    return sorted(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _read(process: int, file: str) -> bytes:
    try:
        return Path(f"/proc/{process}/{file}").read_bytes()
    except OSError:  # it has ended
        return b""
