"""Stagings through the whole service: how soon one is done, and how many a second, with either worker.

Run it with ``python -m benchmarks.staging``. It starts the stack as ``make
up`` does, in a temporary folder and on free ports, once with the warm worker
and once with Prefect's process worker, and writes the table into
``docs/reference/speed/stagings.md``.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import httpx

from benchmarks.stack import USERS, Stack, stack, until
from deployments.local.settings import CHECKOUT
from stager.records.requests import get_request
from stager.records.tables import StagingRequestRow

PAGE = CHECKOUT / "docs/reference/speed/stagings.md"


def one_by_one(made: Stack, count: int, *, through: str) -> list[float]:
    """Return the seconds from each request to its closed record, one after the other on an idle stack."""
    seconds = []
    with httpx.Client(timeout=60) as client:
        for number in range(count):
            begin = time.time()
            ask = made.stage if through == "our API" else made.stage_in_prefect
            row = made.ended(ask(client, number % USERS, f"{through}/{number}"))
            finished = row.finished_at
            seconds.append(finished.timestamp() - begin if finished else time.time() - begin)
            time.sleep(1.5)  # until the children that the last run left are gone and replaced
    return seconds


@dataclass
class Burst:
    """What became of many requests at once."""

    accepted_per_second: float
    done_per_second: float
    statuses: dict[str, int]
    delivered: int
    runs: int
    run_states: dict[str, int]
    locked: int


def burst(made: Stack, count: int, *, trouble: bool = False) -> Burst:
    """Ask for many files of many users at once, and wait until every record is closed."""
    begin = time.time()
    with httpx.Client(timeout=60, limits=httpx.Limits(max_connections=16)) as client, ThreadPoolExecutor(16) as pool:
        ids = list(
            pool.map(lambda number: made.stage(client, number % USERS, f"burst-{trouble}/{number}"), range(count))
        )
    accepted = time.time()
    if trouble:
        _trouble(made)
    rows = [until(partial(_closed, made, one), pause=0.2) for one in ids]
    ended = max(row.finished_at.timestamp() for row in rows if row.finished_at)
    runs = {row.flow_run_id for row in rows if row.flow_run_id}
    return Burst(
        accepted_per_second=count / (accepted - begin),
        done_per_second=count / (ended - begin),
        statuses=dict(Counter(str(row.status) for row in rows)),
        delivered=_delivered(made, f"burst-{trouble}"),
        runs=len(runs),
        run_states=_run_states(made, sorted(runs)),
        locked=made.locked(),
    )


def _delivered(made: Stack, folder: str) -> int:
    """Return how many copies are where a burst puts them, whole."""
    wanted = (made.folder / "storage/small.bin").read_bytes()
    return sum(copy.read_bytes() == wanted for copy in (made.folder / "user_areas").glob(f"*/{folder}/*"))


def _closed(made: Stack, request_id: str) -> StagingRequestRow | None:
    row = get_request(made.database, request_id)
    return row if row.status.is_final else None


def _run_states(made: Stack, runs: list[str]) -> dict[str, int]:
    wanted = {"flow_runs": {"id": {"any_": runs}}, "limit": 200}
    found = httpx.post(f"{made.prefect}/flow_runs/filter", json=wanted, auth=made.auth, timeout=60).json()
    return dict(Counter(run["state_type"].lower() for run in found))


def _trouble(made: Stack) -> None:
    """Kill the worker twice, and restart Prefect's server once."""
    for _ in range(2):
        time.sleep(2)
        made.kill("worker")
        made.start_worker()
    time.sleep(2)
    made.kill("server")
    made.start_server()


def _latency_row(worker: str, through: str, seconds: list[float]) -> str:
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return (
        f"| {worker} | {through} | {len(ordered)} | {statistics.median(ordered):.2f} | {p99:.2f} | {ordered[-1]:.2f} |"
    )


def _burst_row(worker: str, what: str, found: Burst) -> str:
    statuses = ", ".join(f"{count} {status}" for status, count in sorted(found.statuses.items()))
    states = ", ".join(f"{count} {state}" for state, count in sorted(found.run_states.items()))
    return (
        f"| {worker} | {what} | {found.accepted_per_second:.0f} | {found.done_per_second:.1f} "
        f"| {statuses} | {found.runs} ({states}) | {found.locked} |"
    )


def main() -> None:
    """Measure both workers, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50, help="requests one by one, with the warm worker")
    parser.add_argument("--burst", type=int, default=1000, help="requests at once")
    parser.add_argument("--process-count", type=int, default=10, help="requests one by one, with the process worker")
    parser.add_argument("--process-burst", type=int, default=100, help="requests at once, with the process worker")
    parser.add_argument("--trouble", action="store_true", help="also with kills in the middle")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    latencies, bursts = [], []
    for worker, count, size in (
        ("warm", options.count, options.burst),
        ("process", options.process_count, options.process_burst),
    ):
        for through in ("our API", "Prefect's API"):
            with stack(worker) as made:
                one_by_one(made, 3, through=through)  # warm everything up
                latencies.append(_latency_row(worker, through, one_by_one(made, count, through=through)))
                print(latencies[-1], flush=True)
        with stack(worker) as made:
            bursts.append(_burst_row(worker, f"{size} requests of {USERS} users", burst(made, size)))
            print(bursts[-1], flush=True)
        _write(latencies, bursts, load)
    if options.trouble:
        with stack("warm") as made:
            what = f"{options.burst} requests, worker killed twice, server once"
            bursts.append(_burst_row("warm", what, burst(made, options.burst, trouble=True)))
            print(bursts[-1], flush=True)
        _write(latencies, bursts, load)


def _write(latencies: list[str], bursts: list[str], load: float) -> None:
    head = (
        "# Speed of stagings\n\n"
        f"Written by `python -m benchmarks.staging` on {platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, load {load:.1f} before.\n"
        "The whole stack of `make up` runs on this one machine, with SQLite.\n\n"
        "## From the request to the closed record, one small file, idle\n\n"
        "| worker | asked through | requests | p50 s | p99 s | longest s |\n|---|---|---|---|---|---|\n"
    )
    middle = (
        "\n\n## Many at once, one small file each\n\n"
        '| worker | what | accepted/s | done/s | requests | runs | "database is locked" |\n'
        "|---|---|---|---|---|---|---|\n"
    )
    PAGE.write_text(head + "\n".join(latencies) + middle + "\n".join(bursts) + "\n")


if __name__ == "__main__":
    main()
