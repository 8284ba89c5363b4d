"""Stages what it is told on standard input, each time in a child that waits for SIGUSR1.

So a child can be traced from its first system call of the staging on, and
the interpreter starts once for hundreds of them. Answers on standard output:
the child's pid, then its wait status and what it reported, as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from stager import engine
from stager.errors import StagingError
from stager.paths import locate
from tests.modes import MODES


def stage(
    source_area: str,
    destination_area: str,
    source: str,
    destination: str,
    *,
    replace: bool = False,
    helped_from: int = 2000,
) -> None:
    """Bring one product to its place, as often as it takes: like a run and its retry."""
    came_from, goes_to = locate(Path(source_area), source), locate(Path(destination_area), destination)
    survey = engine.survey(came_from)
    engine.sweep(goes_to.parent)
    if engine.compare(came_from, goes_to, survey=survey, checksum=None) is None:
        engine.repair(goes_to, MODES)
        return
    control = engine.Control(lambda _bytes, _files: None, threading.Event())
    staged = engine.transfer(came_from, goes_to, survey=survey, modes=MODES, control=control, helped_from=helped_from)
    try:
        engine.seal(staged)
        engine.flush([staged])
        published = engine.publish({1: engine.Publication(staged=staged, replace=replace)}, refuse=lambda _: {})
        if isinstance(error := published[1], StagingError):
            raise error
    finally:
        engine.discard(staged)


def report(order: dict[str, Any]) -> dict[str, Any]:
    """Stage and return what became of it."""
    try:
        stage(**order)
    except StagingError as error:
        return {"error": type(error).__name__, "message": error.message, "retryable": error.retryable}
    return {"error": None}


def main() -> None:
    """Serve orders until standard input ends."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    for line in sys.stdin:
        answer, reply = os.pipe()
        child = os.fork()
        if not child:
            print(os.getpid(), flush=True)  # noqa: T201 - its standard output is its answer: what a fork calls is over
            signal.sigwait({signal.SIGUSR1})
            os.write(reply, json.dumps(report(json.loads(line))).encode())
            os._exit(0)
        os.close(reply)
        status = os.waitpid(child, 0)[1]
        with os.fdopen(answer, "rb") as told:
            print(json.dumps({"status": status, **json.loads(told.read() or b"{}")}), flush=True)  # noqa: T201 - likewise


if __name__ == "__main__":
    main()
