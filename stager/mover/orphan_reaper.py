"""The reaper of movers: none outlives its run for long, whatever its user does."""

from __future__ import annotations

import math
import os
import select
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass

from stager.paths import Descriptor


@dataclass(eq=False)
class _MoverProcess:
    """A mover and its run, by their pidfds, and when the mover is to be killed."""

    mover: Descriptor
    run: Descriptor
    end: float = math.inf
    is_left: bool = False


class MoverReaper:
    """Kills movers whose runs are gone, while no other mover is asked for.

    Parameters
    ----------
    asked
        Where one is asked for.
    grace
        How long a mover has to discard what it was at when its run is gone, in seconds.
    """

    def __init__(self, asked: socket.socket, grace: float) -> None:
        self._asked = asked
        self._grace = grace
        self._all: list[_MoverProcess] = []

    def add(self, pid: int, run: Descriptor) -> None:
        """Add a mover that was forked."""
        self._all.append(_MoverProcess(Descriptor(os.pidfd_open(pid)), run))

    def forget(self) -> None:
        """Close all descriptors: a mover has no use for those of the others."""
        for life in self._all:
            life.mover.close()
            life.run.close()

    def look_after(self) -> None:
        """Kill and reap movers until another mover is asked for, or none can be any more."""
        is_asked = False
        while not is_asked:
            ready = self._ready()
            is_asked = self._asked.fileno() in ready
            for life in list(self._all):
                if life.mover.fd in ready:
                    os.waitid(os.P_PIDFD, life.mover.fd, os.WEXITED)
                    self._all.remove(life)
                else:
                    self._end(life, is_left=life.run.fd in ready)

    def _ready(self) -> set[int]:
        """Wait, at most until the next mover is to be killed; return the descriptors that are ready."""
        poll = select.poll()
        poll.register(self._asked, select.POLLIN)
        for life in self._all:
            poll.register(life.mover.fd, select.POLLIN)
            if not life.is_left:
                poll.register(life.run.fd, select.POLLIN)
        end = min((life.end for life in self._all), default=math.inf)
        left = None if end == math.inf else max(0.0, end - time.monotonic()) * 1000
        return {descriptor for descriptor, _ in poll.poll(left)}

    def _end(self, life: _MoverProcess, *, is_left: bool) -> None:
        if is_left:
            life.is_left, life.end = True, time.monotonic() + self._grace
        if time.monotonic() >= life.end:
            life.end = math.inf
            with suppress(PermissionError):  # a root without CAP_KILL: then it ends by itself
                signal.pidfd_send_signal(life.mover.fd, signal.SIGKILL)
