"""The Kubernetes pool beside a bare Job: how long from the trigger until a run is Completed.

Run it with ``python -m benchmarks.pool`` where ``KUBECONFIG`` names a cluster
of one node, this machine, and ``TEST_IMAGE`` the image. The bare Job has the
pod of a real flow run, whose command is replaced by the imports of one. It
writes the table into ``docs/speed-of-the-pool.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.cluster.conftest import a_namespace
from tests.cluster.pool.conftest import Site, opened

PAGE = Path(__file__).parents[1] / "docs/speed-of-the-pool.md"
# What a flow run has imported when it is over, and when that was.
IMPORTS = (
    "prefect.engine",
    "prefect.flow_engine",
    "prefect.task_engine",
    "prefect.concurrency.services",
    "flows.local_copy",
    "anyio._backends._asyncio",
    "sqlalchemy.dialects.sqlite",
    "websockets.asyncio.client",
)
BARE = f"import time, {', '.join(IMPORTS)}; print(time.time())"
ALICE = {"run_as_user": 70001, "run_as_group": 70002, "supplemental_groups": [70003]}


def flow_run(site: Site) -> str:
    """Ask Prefect for a run that copies a small file, and return its id."""
    form = {"username": "alice", "items": [{"source": "a.fits", "destination": uuid.uuid4().hex}]}
    body = {"parameters": {"request": form}, "job_variables": ALICE}
    answer = site.prefect.post(f"/deployments/{site.deployment('local-copy')}/create_flow_run", json=body)
    return str(answer.raise_for_status().json()["id"])


def on_the_pool(site: Site) -> float:
    """Return the seconds from a trigger until Prefect says Completed."""
    begin = time.time()
    run = flow_run(site)
    over = site.until(lambda: site.prefect.get(f"/flow_runs/{run}").json(), lambda one: one["end_time"] is not None)
    if over["state_type"] != "COMPLETED":
        raise RuntimeError(over["state"])
    return datetime.fromisoformat(over["end_time"]).timestamp() - begin


def bare_job(site: Site) -> Callable[[Site], float]:
    """Return what starts a bare Job with a flow run's pod, and tells the seconds until it had imported everything."""
    run = flow_run(site)
    label = f"prefect.io/flow-run-id={run}"
    (job,) = site.until(lambda: site.cluster.get("jobs", "--selector", label)["items"], bool)
    pod = job["spec"]["template"]["spec"]
    pod["containers"][0]["args"] = ["python", "-c", BARE]

    def measure(site: Site) -> float:
        name, begin = f"bare-{uuid.uuid4().hex[:8]}", time.time()
        spec = {"backoffLimit": 0, "template": {"metadata": {"labels": {"app": "bare"}}, "spec": pod}}
        site.cluster.apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec})
        site.cluster.kubectl("wait", "--for=condition=Complete", f"job/{name}", "--timeout=300s")
        return float(site.cluster.kubectl("logs", f"job/{name}").split()[-1]) - begin

    return measure


def row(what: str, at_once: int, seconds: list[float]) -> dict[str, Any]:
    """Return one line of the table."""
    p50 = statistics.median(seconds)
    return {"what": what, "at once": at_once, "p50 s": p50, "shortest s": min(seconds), "longest s": max(seconds)}


def measured(site: Site, *, rounds: int, at_once: int) -> list[dict[str, Any]]:
    """Return how long both take, in turns, so many at a time."""
    subjects = {"flow run on the pool": on_the_pool, "bare Job": bare_job(site)}
    seconds: dict[str, list[float]] = {what: [] for what in subjects}
    with ThreadPoolExecutor(at_once) as threads:
        for number in range(rounds + 1):
            for what, subject in subjects.items():
                found = list(threads.map(subject, [site] * at_once))
                seconds[what] += found if number else []  # the first round warms everything up
                time.sleep(2)
    return [row(what, at_once, found) for what, found in seconds.items()]


def _table(rows: list[dict[str, Any]]) -> str:
    def cell(value: object) -> str:
        return f"{value:.2f}" if isinstance(value, float) else str(value)

    lines = [list(rows[0]), ["---"] * len(rows[0]), *([cell(value) for value in one.values()] for one in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Measure one run at a time and many, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="how often one at a time")
    parser.add_argument("--at-once", type=int, default=20, help="how many at once, in two rounds")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    image = os.environ.get("TEST_IMAGE", "skao-staging-service:test")
    with a_namespace() as cluster, opened(cluster, image) as site:
        site.run("head -c 2000000 /dev/urandom > /site/storage/a.fits")
        one = measured(site, rounds=options.rounds, at_once=1)
        many = measured(site, rounds=2, at_once=options.at_once)
    overhead = [pool["p50 s"] - bare["p50 s"] for pool, bare in (one, many)]
    print(json.dumps({"load": load, "overhead": overhead}))
    PAGE.write_text(
        "# Speed of the Kubernetes pool\n\n"
        f"Written by `python -m benchmarks.pool` on {platform.machine()}, {os.cpu_count()} cores, "
        f"load {load:.1f} before. The cluster is this one machine.\n\n"
        "From the trigger at Prefect's API until the run is Completed, for one small file; beside it a Job with the "
        "same pod and the same image, which only imports what a flow run imports.\n\n"
        f"{_table([*one, *many])}\n\n"
        f"At the median the pool adds {overhead[0]:.2f} s to the bare Job for one run, "
        f"{overhead[1]:.2f} s for {options.at_once} at once.\n"
    )


if __name__ == "__main__":
    main()
