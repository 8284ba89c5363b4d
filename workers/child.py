"""The ready process: it waits for one flow run, executes it and ends."""

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
# Seconds between SIGTERM and SIGKILL for a process whose worker is gone.
KILL_AFTER_SECONDS = 10.0
PR_SET_PDEATHSIG = 1  # prctl(2)


@dataclass(frozen=True)
class RunOrder:
    """An order: the flow run as Prefect's API has it, the known storage areas, the run's environment."""

    flow_run: str
    areas: str
    environment: dict[str, str]
    working_directory: str

    def to_json(self) -> bytes:
        """Return the order as JSON, for a pipe."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """Return the order that JSON from a pipe describes."""
        return cls(**json.loads(text))


def live(connection: Connection) -> None:
    """Wait for one order and execute its flow run, or end when the worker closes the connection."""
    # The process that this one was forked from has imported it already.
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
    """Let this process end with its worker, or with the fork server that watches that: no run may go on alone."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    threading.Thread(target=_end_when_worker_is_gone, daemon=True).start()


def _end_when_worker_is_gone() -> None:
    worker = parent_process()
    if worker is not None:
        worker.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(KILL_AFTER_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)
