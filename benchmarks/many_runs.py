"""What many flow runs leave behind in a warm worker: ``python -m benchmarks.many_runs --runs 10000``.

The whole stack runs as ``make up`` starts it. Every run stages one small file
and is a flow run of its own, twenty at a time. What the worker and its fork
server hold is printed every so often, when the worker is at rest; what grows
from one line to the next, and goes on growing, is a leak. 10,000 runs take an
hour or two: Prefect's server is what takes the time.
"""

from __future__ import annotations

import argparse
import time
from typing import NamedTuple

import httpx
import psutil
from sqlalchemy import func, select

from benchmarks.stack import USERS, Stack, stack, until
from stager.records.tables import OPEN, REQUEST
from stager.settings import get_settings

# Runs at a time.
ABREAST = 20
KIB = 1024


class Held(NamedTuple):
    """What an idle worker and its fork server hold; memory that is theirs alone, in KiB."""

    processes: int
    descriptors: int
    threads: int
    memory_kib: int


def held(worker: psutil.Process) -> Held | None:
    """Return what a worker holds, None while it has anything to do."""
    server = max(worker.children(), key=lambda process: len(process.children()))
    if len(server.children()) != get_settings().ready_processes:
        return None
    both = (worker, server)
    return Held(
        processes=len(worker.children(recursive=True)) + 1,
        descriptors=sum(process.num_fds() for process in both),
        threads=sum(process.num_threads() for process in both),
        memory_kib=sum(process.memory_full_info().uss for process in both) // KIB,
    )


def run(made: Stack, first: int, count: int) -> None:
    """Stage some files, each by a flow run of its own, and wait for their records."""
    with httpx.Client(timeout=60) as client:
        for number in range(first, first + count):
            wait_for(made, number - ABREAST + 1)
            made.start_in_prefect(client, number % USERS, f"many/{number}")
    wait_for(made, first + count)


def wait_for(made: Stack, count: int) -> None:
    """Wait until so many requests have ended."""
    ended = select(func.count()).select_from(REQUEST).where(REQUEST.c.status.not_in(OPEN))
    until(lambda: made.database.read(lambda session: session.scalars(ended).one()) >= count, pause=0.1)


def main() -> None:
    """Run, look, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--every", type=int, default=500, help="runs between two looks")
    options = parser.parse_args()
    with stack("warm") as made:
        worker = psutil.Process(made.parts["worker"].pid)
        began = time.monotonic()
        for done in range(0, options.runs, options.every):
            count = min(options.every, options.runs - done)
            run(made, done, count)
            found = until(lambda: held(worker), pause=0.2)
            print(f"{done + count:6} runs, {time.monotonic() - began:6.0f} s: {found}", flush=True)


if __name__ == "__main__":
    main()
