"""Orphans: processes whose parent died become ours and are ended, so that nothing outlives the stack."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
KILL_AFTER_SECONDS = 5.0


def adopt_orphans() -> None:
    """Become the parent of every descendant that loses its own (Linux; elsewhere nothing happens).

    Notes
    -----
    prctl(2), PR_SET_CHILD_SUBREAPER. A flow run is a process of its own
    session, which no signal to the worker's group reaches.
    """
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def end_with_parent() -> None:
    """Ask the kernel for SIGTERM when our parent dies, even by ``kill -9`` (PR_SET_PDEATHSIG)."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _prctl(option: int, value: int) -> None:
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def reap_orphans(*, but: int) -> None:
    """Wait for the orphans that have ended by themselves, and for no child that somebody else waits for.

    Parameters
    ----------
    but
        The process id of that child.
    """
    with suppress(ChildProcessError):
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and ended.si_pid != but:
            os.waitpid(ended.si_pid, 0)


def end_orphans() -> None:
    """End all children of this process: by SIGTERM, and after five seconds by SIGKILL."""
    deadline = time.monotonic() + KILL_AFTER_SECONDS
    while children := _children():
        how = signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, how)
        time.sleep(0.1)
        _reap()


def _reap() -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _children() -> list[int]:
    """Return the children that still run; proc(5), ``stat``: the state and the parent follow the name."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if int(parent) == os.getpid() and state != "Z":
                found.append(int(stat.parent.name))
    return found
