"""A staging in a process of its own that strace looks at, breaks and kills."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

REPOSITORY = Path(__file__).parents[2]
MEMORY = Path("/dev/shm")  # where it is, no disk slows hundreds of stagings down
NOBODY = 65534


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = "needs root" if os.geteuid() else "" if shutil.which("strace") else "needs strace"
    for item in items:
        if "faults" in Path(item.path).parts:
            item.add_marker(pytest.mark.faults)
            if missing:
                item.add_marker(pytest.mark.skip(reason=missing))


@dataclass
class Outcome:
    """How a traced staging ended."""

    signal: int
    error: str | None = None
    message: str = ""
    retryable: bool | None = None


class Stager:
    """Stages in children of one process; each can be traced from its first call on."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.stage_on_demand"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.terminate()
        self._process.wait()
        self._process.stdout.close()

    def stage(self, order: dict[str, Any], *trace: str) -> Outcome:
        """Stage, with strace and its options where there are any."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        child = int(self._process.stdout.readline())
        with _traced(child, trace) if trace else contextlib.nullcontext():
            os.kill(child, signal.SIGUSR1)
            ended = json.loads(self._process.stdout.readline())
        return Outcome(os.WTERMSIG(ended.pop("status")), **ended)


@contextlib.contextmanager
def _traced(child: int, trace: tuple[str, ...]) -> Iterator[None]:
    command = ["strace", "-f", "-p", str(child), *trace]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as strace:
        assert strace.stderr
        first = strace.stderr.readline()
        if "attached" not in first:
            os.kill(child, signal.SIGKILL)
            pytest.fail(first + strace.stderr.read())
        yield
        strace.stderr.read()


@pytest.fixture(scope="module")
def stager() -> Iterator[Stager]:
    with Stager() as running:
        yield running


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory where there is such a file system; else on the disk."""
    made = tempfile.mkdtemp(prefix="stager-test-", dir=MEMORY if MEMORY.is_dir() else None)
    try:
        yield Path(made)
    finally:
        shutil.rmtree(made)


Facts = dict[str, tuple[object, ...]]


def facts(top: Path) -> Facts:
    """Return all there is under a folder: kind and mode, owner, times, content."""
    return {
        str(path.relative_to(top)): (
            oct(path.lstat().st_mode),
            path.lstat().st_uid,
            path.lstat().st_gid,
            path.lstat().st_mtime_ns,
            path.lstat().st_ctime_ns,
            hashlib.md5(path.read_bytes()).hexdigest() if path.is_file() and not path.is_symlink() else "",
        )
        for path in [top, *sorted(top.rglob("*"))]
    }
