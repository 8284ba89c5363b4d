"""What befalls pods: each fault ends in a record that says it, another pod where that helps, and the right bytes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from tests.cluster.pool.conftest import FROZEN, PAUSED, Site
from tests.cluster.pool.node import kubelet, processes_of, stopped

# Notes a fault for the table in docs/reference/kubernetes-faults.md: its name, its request, since when (monotonic).
Note = Callable[[str, str, float], None]


@pytest.fixture
def note(site: Site, record_property: Callable[[str, object], None]) -> Note:
    def _note(fault: str, request: str, since: float) -> None:
        seconds, record = time.monotonic() - since, site.record(request)
        befell = [detail for kind, detail in site.events(request) if kind in {"pod", "resubmitted"}]
        facts = {"status": record["status"], "reason": record["error_reason"], "befell": befell, "seconds": seconds}
        for name, value in {"fault": fault, **facts}.items():
            record_property(name, value)

    return _note


def arrived(site: Site, request: str, destination: str) -> None:
    """Hold a request that lost its pod to its promise."""
    assert site.ended(request)["status"] == "completed"
    assert site.differences("many", destination) == ""
    assert site.until(lambda: site.is_cleared(request), bool)


def closed(site: Site, request: str, reason: str) -> dict[str, Any]:
    """Return the record of a request that no pod can do: it has the reason, and was tried no second time."""
    record = site.ended(request)
    assert record["status"] == "failed"
    assert reason in record["error_reason"]
    assert record["items"][0]["error_type"] == "PodImpossible"
    assert [kind for kind, _ in site.events(request) if kind == "resubmitted"] == []
    assert site.until(lambda: site.is_cleared(request), bool)
    return record


def refused(site: Site, request: str, reason: str) -> None:
    """Hold a request that can have no pod to its promise: closed with the reason, which Prefect says too."""
    record = closed(site, request, reason)
    assert site.flow_run(request)["state"]["message"] == record["error_reason"]


def said(site: Site, request: str) -> str:
    """Return all that is on record of what befell a request's pods."""
    return "\n".join(detail for kind, detail in site.events(request) if kind in {"pod", "resubmitted"})


def test_a_run_whose_pod_is_deleted_is_done_by_another(site: Site, note: Note) -> None:
    request, pod = site.copying("deleted")
    since = time.monotonic()
    site.cluster.kubectl("delete", "pod", pod, "--wait=false")
    arrived(site, request, "deleted")
    note("The pod is deleted, or its node drained", request, since)
    assert "its pod was deleted" in said(site, request)


def test_a_run_whose_pod_is_evicted_is_done_by_another(site: Site, note: Note) -> None:
    request, pod = site.copying("evicted", program=FROZEN)
    since = time.monotonic()
    site.cluster.kubectl("exec", pod, "--", "dd", "if=/dev/zero", "of=/tmp/full", "bs=1M", "count=100")
    arrived(site, request, "evicted")
    note("The pod is evicted by its node", request, since)
    assert "Evicted" in said(site, request)


def test_a_run_whose_node_dies_is_done_by_another(site: Site, note: Note) -> None:
    node = kubelet()
    request, _ = site.copying("node", lease="15")
    run, since = site.flow_run(request)["id"], time.monotonic()
    with site.directly() as http, stopped(node):
        for process in processes_of(run):
            with suppress(ProcessLookupError):  # the pod's first process takes the others with it
                os.kill(process, signal.SIGKILL)
        site.until(lambda: http.get(f"/requests/{request}").json()["status"], lambda status: status == "submitted")
    arrived(site, request, "node")
    note("The node dies: its kubelet and its containers", request, since)
    assert "its machine died" in said(site, request)


def test_a_run_that_was_started_twice_delivers_once(site: Site, note: Note) -> None:
    request, _ = site.copying("twice")
    since = time.monotonic()
    (job,) = site.jobs(site.flow_run(request)["id"])
    site.cluster.apply(_twin(job))
    arrived(site, request, "twice")
    note("A second pod is started for the same run", request, since)
    assert [name for name in site.delivered() if name.startswith("twice")] == ["twice"]


def test_a_run_that_needs_too_much_memory_fails_at_once(site: Site, note: Note) -> None:
    with site.saying({"memory_request": "32Mi", "memory_limit": "48Mi"}):
        request, since = site.ask("a.fits", "memory"), time.monotonic()
        refused(site, request, "its pod was killed: it needed more memory than its limit of 48Mi")
    note("The pod is killed for its memory limit", request, since)


def test_a_run_that_takes_longer_than_its_job_may_fails_at_once(site: Site, note: Note) -> None:
    since = time.monotonic()
    request, _ = site.copying("deadline", program=PAUSED, active_deadline_seconds=20)
    closed(site, request, "it took longer than the 20 seconds that a Job may take")
    note("It takes longer than `active_deadline_seconds=20`", request, since)
    assert "deadline" not in site.delivered()


def test_an_image_that_does_not_exist_fails_at_once(site: Site, note: Note) -> None:
    with site.saying({"image": "skao-staging-service:none"}):
        request, since = site.ask("a.fits", "image"), time.monotonic()
        refused(site, request, "its image skao-staging-service:none cannot be pulled")
    note("The image does not exist", request, since)


def test_a_volume_that_cannot_be_mounted_is_waited_for_and_said(site: Site, note: Note) -> None:
    missing = {"name": "missing", "hostPath": {"path": f"{site.folder}/none", "type": "Directory"}}
    told, mount = site.said(), {"name": "missing", "mountPath": "/missing"}
    with site.saying(volumes=[*told["volumes"], missing], volume_mounts=[*told["volume_mounts"], mount]):
        request, since = site.ask("a.fits", "volume"), time.monotonic()
        refused(site, request, "a volume of its pod cannot be mounted")
    note("A volume cannot be mounted", request, since)


def test_a_node_that_is_full_is_waited_for_and_said(site: Site, note: Note) -> None:
    with site.saying({"cpu_request": "1000"}):
        request, since = site.ask("a.fits", "full"), time.monotonic()
        refused(site, request, "no node can take its pod: 0/1 nodes are available: 1 Insufficient cpu")
    note("No node has room", request, since)


def test_a_pod_that_waits_for_a_node_begins_when_there_is_one(site: Site, note: Note) -> None:
    label = f"staging-tests/room={site.cluster.namespace}"
    with site.saying({"node_selector": dict([label.split("=")])}):
        request, since = site.ask("a.fits", "room"), time.monotonic()
        site.until(lambda: said(site, request), lambda words: "no node can take its pod" in words)
        with a_node_with(site, label):
            assert site.ended(request)["status"] == "completed"
    note("No node is as the pod must have it, and one becomes so", request, since)
    assert site.differences("a.fits", "room") == ""
    assert [kind for kind, _ in site.events(request) if kind == "resubmitted"] == []


def test_a_quota_that_forbids_the_pod_is_waited_for_and_said(site: Site, note: Note) -> None:
    with a_quota(site):
        request, since = site.ask("a.fits", "quota"), time.monotonic()
        refused(site, request, "its pod cannot be created")
    note("A quota forbids the pod", request, since)


def test_cancelling_in_prefect_ends_the_pod_and_leaves_nothing(site: Site, note: Note) -> None:
    request, _ = site.copying("cancelled")
    since = time.monotonic()
    cancelled(site, request)
    note("Somebody cancels the run in Prefect", request, since)
    assert "cancelled" not in site.delivered()


def test_cancelling_in_prefect_ends_a_pod_that_has_not_begun(site: Site, note: Note) -> None:
    with site.saying({"cpu_request": "1000"}):
        request = site.ask("a.fits", "unbegun")
        site.until(lambda: said(site, request), lambda words: "no node can take its pod" in words)
        since = time.monotonic()
        cancelled(site, request)
    note("Somebody cancels the run in Prefect, whose pod waits for a node", request, since)
    assert "unbegun" not in site.delivered()


def test_a_waiting_pod_whose_request_is_cancelled_is_ended(site: Site, note: Note) -> None:
    with site.saying({"cpu_request": "1000"}):
        request, since = site.ask("a.fits", "unwanted"), time.monotonic()
        site.until(lambda: said(site, request), lambda words: "no node can take its pod" in words)
        assert site.http.delete(f"/requests/{request}").json()["status"] == "cancelled"
        assert site.until(lambda: site.is_cleared(request), bool)
    note("No node has room, and the request is cancelled", request, since)


def cancelled(site: Site, request: str) -> None:
    """Cancel a request's run, and hold it to its promise: it ends, and so does its pod."""
    site.cancel(site.flow_run(request)["id"])
    assert site.ended(request)["status"] == "cancelled"
    assert site.until(lambda: site.is_cleared(request), bool)


@contextmanager
def a_quota(site: Site) -> Iterator[None]:
    """Let the namespace have no more pods, until the body ends."""
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": {"hard": {"pods": "0"}}}
    site.cluster.apply(quota)
    site.until(lambda: site.cluster.get("resourcequota", "full"), lambda quota: "hard" in quota["status"])
    try:
        yield
    finally:
        site.cluster.kubectl("delete", "resourcequota", "full")


@contextmanager
def a_node_with(site: Site, label: str) -> Iterator[None]:
    """Let a node have a label until the body ends."""
    node = site.cluster.get("nodes")["items"][0]["metadata"]["name"]
    site.cluster.kubectl("label", "node", node, label)
    try:
        yield
    finally:
        site.cluster.kubectl("label", "node", node, f"{label.partition('=')[0]}-")


def _twin(job: dict[str, Any]) -> dict[str, Any]:
    """Return a Job like another one, for the same flow run, which is there while the other is slow."""
    made_by_kubernetes = ("controller-uid", "job-name")
    labels = {k: v for k, v in job["metadata"]["labels"].items() if not k.endswith(made_by_kubernetes)}
    template = job["spec"]["template"]
    template["metadata"]["labels"] = labels
    template["spec"]["containers"][0]["args"] = ["python", "-m", "prefect.engine"]
    metadata = {"name": f"{job['metadata']['name']}-twin", "labels": labels}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {"template": template, "backoffLimit": 0},
    }
