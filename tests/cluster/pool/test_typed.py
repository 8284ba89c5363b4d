"""Pods of runs that were typed in at Prefect's form: no request is on record before they begin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cluster.pool.conftest import Site


def test_a_waiting_pod_that_was_typed_in_is_ended_and_no_other_pools(site: Site) -> None:
    with a_run_of_another_pool(site) as other:  # its Job is the older one
        run = site.typed("typed", cpu_request="1000")
        assert crashed(site, run).startswith("no node can take its pod")
        assert site.state(other)[0] in {"SCHEDULED", "PENDING"}
        assert site.jobs(other)


def test_a_pod_that_was_typed_in_and_can_never_begin_is_ended(site: Site) -> None:
    with site.saying({"image": "skao-staging-service:none"}):
        run = site.typed("typed")
        site.until(lambda: site.jobs(run), bool)
    assert crashed(site, run).startswith("its image skao-staging-service:none cannot be pulled")


def test_a_run_that_was_typed_in_and_cancelled_before_its_pod_began_is_cancelled(site: Site) -> None:
    run = site.typed("typed", cpu_request="1000")
    site.until(lambda: site.jobs(run), bool)
    site.cancel(run)
    site.until(lambda: site.state(run), lambda state: state[0] in {"CRASHED", "CANCELLED"})
    assert site.state(run) == ("CANCELLED", "it was cancelled")
    assert site.until(lambda: site.jobs(run), lambda jobs: not jobs) == []


def crashed(site: Site, run: str) -> str:
    """Return why a run crashed that nobody asked for by API, when nothing of it is left in the cluster."""
    state = site.until(lambda: site.state(run), lambda state: state[0] == "CRASHED")
    assert site.until(lambda: site.jobs(run), lambda jobs: not jobs) == []
    return str(state[1])


@contextmanager
def a_run_of_another_pool(site: Site) -> Iterator[str]:
    """Give a run of a pool that is none of ours, whose Job waits in our namespace until the body ends."""
    ours = site.prefect.get(f"/deployments/{site.deployment('local-copy')}").json()
    site.prefect.post("/work_pools/", json={"name": "other", "type": "kubernetes"}).raise_for_status()
    deployment = {"name": "other", "flow_id": ours["flow_id"], "work_pool_name": "other"}
    made = site.prefect.post("/deployments/", json=deployment).json()["id"]
    run = str(site.prefect.post(f"/deployments/{made}/create_flow_run", json={}).json()["id"])
    container = {"name": "other", "image": "none"}
    pod = {"containers": [container], "nodeSelector": {"is": "nowhere"}, "restartPolicy": "Never"}
    labels = {"prefect.io/flow-run-id": run}
    template = {"metadata": {"labels": labels}, "spec": pod}
    metadata = {"name": "other", "labels": labels}
    site.cluster.apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template}})
    try:
        yield run
    finally:
        site.cluster.kubectl("delete", "job", "other", "--ignore-not-found")
        site.prefect.delete(f"/flow_runs/{run}").raise_for_status()
        site.prefect.delete(f"/deployments/{made}").raise_for_status()
        site.prefect.delete("/work_pools/other").raise_for_status()
