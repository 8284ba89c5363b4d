"""What a ready process does: it waits for one flow run, executes it and ends."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import threading
import time
from dataclasses import asdict, dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from typing import Self

READY = b"ready"
# Between the polite and the last signal to a process whose worker is gone, in seconds.
KILL_AFTER_SECONDS = 10.0
PR_SET_PDEATHSIG = 1  # prctl(2)


@dataclass(frozen=True)
class RunOrder:
    """A flow run as Prefect's API gives it, what is known of the storage areas, and the run's surroundings."""

    flow_run: str
    areas: str
    environment: dict[str, str]
    working_directory: str

    def to_json(self) -> bytes:
        """Return it as it goes through a pipe."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """Return what was put into a pipe."""
        return cls(**json.loads(text))


def live(connection: Connection) -> None:
    """Serve one flow run; end without one when the worker closes the connection."""
    # Imported already, by the process that this one was forked from.
    from workers.prefect_internals import execute  # noqa: PLC0415
    from workers.preloaded import adopt_areas, readiness  # noqa: PLC0415

    # Ctrl-C is for the worker, which waits for its runs. No session: it would have a share of the processor of its own,
    # whatever its nice value (sched(7), "The autogroup feature").
    os.setpgrp()
    _end_with_worker()
    readiness.connect()
    connection.send_bytes(READY)
    try:
        order = RunOrder.from_json(connection.recv_bytes())
    except EOFError:
        return
    connection.close()
    os.environ.clear()
    os.environ.update(order.environment)
    os.chdir(order.working_directory)
    adopt_areas(order.areas)
    execute(order.flow_run)


def _end_with_worker() -> None:
    """Let this process end when its worker does, or the fork server that watches it: it must not write for nobody."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    threading.Thread(target=_end_when_worker_is_gone, daemon=True).start()


def _end_when_worker_is_gone() -> None:
    worker = parent_process()
    if worker is not None:
        worker.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(KILL_AFTER_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)
