"""The starter: a process of the service's account that was started clean, and forks the movers.

It has one thread, no environment, no password, no connection and none of
Prefect; so have its forks, and a fork takes a millisecond. It ends a mover
whose run is gone, and itself, with all movers, when nobody holds the other end
of its socket any more.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType

from stager.garbage import search_less
from stager.mover.orphan_reaper import MoverReaper
from stager.paths import Descriptor

_START = """
import sys
sys.path.insert(0, sys.argv[1])
from stager.mover.starter import main
main(*map(int, sys.argv[2:]))
"""
# How long movers may take to discard what is unfinished when the service is gone, in seconds.
DISCARD_SECONDS = 10


class Starter:
    """The service's end of the connection to its starter; it may be inherited by fork."""

    def __init__(self) -> None:
        self._end, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            theirs.set_inheritable(True)
            root = str(Path(__file__).parents[2])
            command = [sys.executable, "-I", "-c", _START, root, str(theirs.fileno()), str(DISCARD_SECONDS)]
            os.posix_spawn(sys.executable, command, {}, setpgroup=0)

    def mover(self) -> socket.socket:
        """Fork a mover and return the connection to it; it ends when this process does.

        Raises
        ------
        OSError
            The starter is no more.
        """
        ours, theirs = socket.socketpair()
        with theirs, Descriptor(os.pidfd_open(os.getpid())) as run:
            socket.send_fds(self._end, [b"m"], [theirs.fileno(), run.fd])
        return ours

    def close(self) -> None:
        """Let the starter end."""
        self._end.close()


_kept: Starter | None = None


def keep_starter() -> None:
    """Start the starter of this process and of all that it will fork."""
    global _kept  # noqa: PLW0603 - one for the process, as its descriptors are
    if _kept is None:
        _kept = Starter()
        atexit.register(_kept.close)


def born() -> socket.socket:
    """Fork a mover, by a new starter if the old one has died, and return the connection to it."""
    global _kept  # noqa: PLW0603 - likewise
    keep_starter()
    assert _kept is not None  # noqa: S101 - for mypy
    try:
        return _kept.mover()
    except OSError:  # it was killed
        _kept.close()
        _kept = Starter()
        return _kept.mover()


def main(control: int, grace: int) -> None:
    """Fork a mover for each connection that arrives, until the service is gone."""
    from stager.mover.process import serve  # noqa: PLC0415 - the service itself needs none of it

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # whoever starts us may ignore it: then nobody could be waited for
    _be_quiet()
    gc.collect()
    gc.freeze()  # what is here now stays shared with the movers; gc.freeze, Python's manual
    search_less()
    with socket.socket(fileno=control) as asked:
        reaper = MoverReaper(asked, grace)
        while True:
            reaper.look_after()
            data, descriptors, _, _ = socket.recv_fds(asked, 1, 2)
            if not data:
                break
            run = Descriptor(descriptors[1])
            with socket.socket(fileno=descriptors[0]) as end:
                if (pid := os.fork()) == 0:
                    asked.close()
                    run.close()
                    reaper.forget()
                    _be_a_mover(serve, end)
                reaper.add(pid, run)
    _wait_for_movers(grace)


def _be_a_mover(serve: Callable[[socket.socket], None], end: socket.socket) -> None:
    try:
        serve(end)
    finally:
        os._exit(0)


def _be_quiet() -> None:
    """Close input and output: a mover speaks over its socket only."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _wait_for_movers(grace: int) -> None:
    def end_them(_: int, __: FrameType | None) -> None:
        os.killpg(0, signal.SIGKILL)

    signal.signal(signal.SIGALRM, end_them)
    signal.alarm(grace)
    with suppress(ChildProcessError):
        while True:
            os.wait()
