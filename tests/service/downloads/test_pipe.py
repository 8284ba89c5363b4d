"""The pipe that a body goes through, as large as its client is fast."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import FileIO
from pathlib import Path

import pytest

from stager.downloads.pipe import BodyPipe, PumpOutcome

KIB = 1024


@pytest.fixture
def pipe() -> Iterator[BodyPipe]:
    """A pipe into which goes what never ends."""
    made = BodyPipe(bytes(64 * KIB) for _ in iter(int, 1))
    yield made
    made.close()


def size_of(pipe: BodyPipe) -> int:
    return fcntl.fcntl(pipe.inlet, fcntl.F_GETPIPE_SZ)


def keep_up(pipe: BodyPipe, server: FileIO) -> None:
    """Take what comes, until the pipe is large."""
    while size_of(pipe) == 64 * KIB:
        server.read(64 * KIB)


def stall(pipe: BodyPipe) -> None:
    while pipe.pump() is not PumpOutcome.STALLED:
        pass


def test_the_pipe_of_a_client_that_no_longer_keeps_up_is_made_small_once_that_can_be(pipe: BodyPipe) -> None:
    with Path(pipe.path).open("rb", buffering=0) as server, ThreadPoolExecutor() as threads:
        keeping_up = threads.submit(keep_up, pipe, server)
        while not keeping_up.done():
            pipe.pump()
        stall(pipe)
        assert (pipe.shrink(), size_of(pipe)) == (False, 256 * KIB)
        server.read(192 * KIB)
        assert (pipe.shrink(), size_of(pipe)) == (True, 64 * KIB)
