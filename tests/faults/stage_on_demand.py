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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stager import engine
from stager.errors import StagingError
from stager.paths import folders_kept, locate
from tests.modes import MODES


def stage(
    source_area: str,
    destination_area: str,
    source: str,
    destination: str,
    *,
    more: Mapping[str, str] | None = None,
    replace: bool = False,
    helped_from: int = 2000,
) -> None:
    """Bring a product, or a batch of more, to its place, as often as it takes: like a run and its retry.

    Its folders are kept as a mover keeps those of a step.
    """
    items = {
        locate(Path(source_area), came_from): locate(Path(destination_area), goes_to)
        for came_from, goes_to in {source: destination, **(more or {})}.items()
    }
    with folders_kept():
        surveys = {came_from: engine.survey(came_from) for came_from in items}
    for folder in {goes_to.parent: None for goes_to in items.values()}:
        engine.sweep(folder)
    products: list[engine.Publication] = []
    try:
        with folders_kept():
            for came_from, goes_to in items.items():
                if engine.compare(came_from, goes_to, survey=surveys[came_from], checksum=None) is None:
                    engine.repair(goes_to, MODES)
                    continue
                staged = engine.transfer(
                    came_from,
                    goes_to,
                    survey=surveys[came_from],
                    modes=MODES,
                    control=engine.Control(lambda _bytes, _files: None, threading.Event()),
                    helped_from=helped_from,
                )
                products.append(engine.Publication(staged=staged, replace=replace))
        for product in products:
            engine.seal(product.staged)
        engine.flush(product.staged for product in products)
        outcomes = engine.publish(dict(enumerate(products)), refuse=lambda _: {})
    finally:
        for product in reversed(products):
            engine.discard(product.staged)
    for outcome in outcomes.values():
        if isinstance(outcome, StagingError):
            raise outcome


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
