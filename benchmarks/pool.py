"""The Kubernetes pool beside a bare Job: how long from the trigger until a run is Completed.

Run it with ``python -m benchmarks.pool`` where ``KUBECONFIG`` names a cluster
of one node, this machine, and ``TEST_IMAGE`` the image. The bare Job has the
pod of a real flow run, whose command is replaced by the imports of one. It
writes the table into ``docs/reference/speed/pool.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from tests.cluster.conftest import a_namespace
from tests.cluster.pool.conftest import Site, opened

PAGE = Path(__file__).parents[1] / "docs/reference/speed/pool.md"
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
# How long an answer may take while many runs begin, in seconds.
TIMEOUT = 300.0
ALICE = {"run_as_user": 70001, "run_as_group": 70002, "supplemental_groups": [70003]}


@dataclass(frozen=True)
class Lab:
    """The site, and the cluster's own API: both are asked in the same way."""

    site: Site
    kubernetes: httpx.Client

    @property
    def pods(self) -> str:
        """Where the namespace's pods are."""
        return f"/api/v1/namespaces/{self.site.cluster.namespace}/pods"

    @property
    def jobs(self) -> str:
        """Where the namespace's Jobs are."""
        return f"/apis/batch/v1/namespaces/{self.site.cluster.namespace}/jobs"

    def labelled(self, path: str, label: str) -> list[dict[str, Any]]:
        """Return the objects that have a label."""
        answer = self.kubernetes.get(path, params={"labelSelector": label})
        return list(answer.raise_for_status().json()["items"])


@contextmanager
def opened_lab(image: str) -> Iterator[Lab]:
    """Give a site in a namespace of its own, and the cluster's API."""
    with (
        a_namespace() as cluster,
        opened(cluster, image) as site,
        subprocess.Popen(["kubectl", "proxy", "--port=0"], stdout=subprocess.PIPE, text=True) as proxy,
    ):
        site.run("head -c 2000000 /dev/urandom > /site/storage/a.fits")
        try:
            address = proxy.stdout.readline().split()[-1] if proxy.stdout else ""
            with httpx.Client(base_url=f"http://{address}", timeout=TIMEOUT) as kubernetes:
                yield Lab(site, kubernetes)
        finally:
            proxy.terminate()


def flow_run(site: Site) -> str:
    """Ask Prefect for a run that copies a small file, and return its id."""
    form = {"username": "alice", "items": [{"source": "a.fits", "destination": uuid.uuid4().hex}]}
    body = {"parameters": {"request": form}, "job_variables": ALICE}
    url = f"/deployments/{site.deployment('local-copy')}/create_flow_run"
    answer = site.prefect.post(url, json=body, timeout=TIMEOUT)
    return str(answer.raise_for_status().json()["id"])


def on_the_pool(lab: Lab, at_once: int) -> list[float]:
    """Return the seconds from each trigger until Prefect says Completed."""
    site = lab.site
    runs = triggered(lambda: flow_run(site), at_once)
    body = {"flow_runs": {"id": {"any_": list(runs)}}}

    def look() -> list[dict[str, Any]]:
        return list(site.prefect.post("/flow_runs/filter", json=body, timeout=TIMEOUT).json())

    over = site.until(look, lambda found: all(run["end_time"] for run in found))
    if failed := [run["state"] for run in over if run["state_type"] != "COMPLETED"]:
        raise RuntimeError(failed)
    return [datetime.fromisoformat(run["end_time"]).timestamp() - runs[run["id"]] for run in over]


def bare_jobs(lab: Lab) -> Callable[[Lab, int], list[float]]:
    """Return what starts bare Jobs with a flow run's pod, and tells the seconds until each had imported everything."""
    label = f"prefect.io/flow-run-id={flow_run(lab.site)}"
    (job,) = lab.site.until(lambda: lab.labelled(lab.jobs, label), bool)
    pod = job["spec"]["template"]["spec"]
    pod["containers"][0]["args"] = ["python", "-c", BARE]

    def measure(lab: Lab, at_once: int) -> list[float]:
        series = f"bare-{uuid.uuid4().hex[:8]}"

        def start() -> str:
            spec = {"backoffLimit": 0, "template": {"metadata": {"labels": {"series": series}}, "spec": pod}}
            metadata = {"generateName": f"{series}-", "labels": {"series": series}}
            body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}
            return str(lab.kubernetes.post(lab.jobs, json=body).raise_for_status().json()["metadata"]["name"])

        begun = triggered(start, at_once)
        mine = f"series={series}"
        look = partial(lab.labelled, lab.jobs, mine)
        lab.site.until(look, lambda jobs: all(job["status"].get("succeeded") for job in jobs))
        seconds = []
        for one in lab.labelled(lab.pods, mine):
            said = lab.kubernetes.get(f"{lab.pods}/{one['metadata']['name']}/log").text
            seconds.append(float(said) - begun[one["metadata"]["labels"]["job-name"]])
        return seconds

    return measure


def triggered(trigger: Callable[[], str], at_once: int) -> dict[str, float]:
    """Trigger so many at once, and return when each was, by what it returned."""

    def timed(_: int) -> tuple[str, float]:
        moment = time.time()
        return trigger(), moment

    with ThreadPoolExecutor(at_once) as threads:
        return dict(threads.map(timed, range(at_once)))


def row(what: str, at_once: int, seconds: list[float], cpu: float) -> dict[str, Any]:
    """Return one line of the table."""
    p50, each = statistics.median(seconds), cpu / len(seconds)
    spread = {"shortest s": min(seconds), "longest s": max(seconds)}
    return {"what": what, "at once": at_once, "p50 s": p50, **spread, "CPU s each": each}


def cpu_used() -> float:
    """Return the CPU time that the whole machine has used, in seconds."""
    user, nice, system = Path("/proc/stat").read_text().split()[1:4]
    return (int(user) + int(nice) + int(system)) / os.sysconf("SC_CLK_TCK")


def measured(lab: Lab, *, rounds: int, at_once: int) -> list[dict[str, Any]]:
    """Return how long both take, in turns, so many at a time."""
    subjects = {"flow run on the pool": on_the_pool, "bare Job": bare_jobs(lab)}
    seconds: dict[str, list[float]] = {what: [] for what in subjects}
    cpu = dict.fromkeys(subjects, 0.0)
    for _ in range(rounds):
        for what, subject in subjects.items():
            time.sleep(2)
            before = cpu_used()
            seconds[what] += subject(lab, at_once)
            cpu[what] += cpu_used() - before
    return [row(what, at_once, found, cpu[what]) for what, found in seconds.items()]


def _table(rows: list[dict[str, Any]]) -> str:
    def cell(value: object) -> str:
        return f"{value:.2f}" if isinstance(value, float) else str(value)

    lines = [list(rows[0]), ["---"] * len(rows[0]), *([cell(value) for value in one.values()] for one in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Measure one run at a time and many, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="how often one at a time")
    parser.add_argument("--at-once", type=int, default=20, help="how many at once, in one round")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    image = os.environ.get("TEST_IMAGE", "skao-staging-service:test")
    with opened_lab(image) as lab:
        measured(lab, rounds=1, at_once=2)  # warms everything up
        one = measured(lab, rounds=options.rounds, at_once=1)
        many = measured(lab, rounds=1, at_once=options.at_once)
    overhead = [pool["p50 s"] - bare["p50 s"] for pool, bare in (one, many)]
    print(json.dumps({"load": load, "overhead": overhead}))
    PAGE.write_text(
        "# Speed of the Kubernetes pool\n\n"
        f"Written by `python -m benchmarks.pool` on {platform.machine()}, {os.cpu_count()} cores, "
        f"load {load:.1f} before. The cluster is this one machine.\n\n"
        "From the trigger at Prefect's API until the run is Completed, for one small file; beside it a Job with the "
        "same pod and the same image, which only imports what a flow run imports. CPU is that of the whole machine: "
        "the pods, the cluster, and Prefect.\n\n"
        f"{_table([*one, *many])}\n\n"
        f"At the median the pool adds {overhead[0]:.2f} s to the bare Job for one run, "
        f"{overhead[1]:.2f} s for {options.at_once} at once. Those want more CPU than there is: Prefect's server and "
        "its worker, which serve every run, have to share the same cores with all pods.\n"
    )


if __name__ == "__main__":
    main()
