"""The movers of a starter: none outlives its run for long, stopped by its user or not."""

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
    """A mover and the run that it is for, by their pidfds, and when it is killed."""

    mover: Descriptor
    run: Descriptor
    end: float = math.inf
    is_left: bool = False


class MoverReaper:
    """Looks after movers while nobody asks for another.

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
        """Look after a child."""
        self._all.append(_MoverProcess(Descriptor(os.pidfd_open(pid)), run))

    def forget(self) -> None:
        """Hold nothing of them any more: a mover has no use for the others."""
        for life in self._all:
            life.mover.close()
            life.run.close()

    def look_after(self) -> None:
        """Return when somebody asks, or nobody can any more; meanwhile, kill and bury."""
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
        """Wait, no longer than until the next is to be killed; return which descriptors have something to say."""
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
