"""What Kubernetes says of a pod, in plain words, and what helps; tests/cluster/pool has the faults themselves."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from kubernetes_asyncio.client import (
    ApiClient,
    Configuration,
    CoreV1Event,
    V1Container,
    V1ContainerState,
    V1ContainerStateTerminated,
    V1ContainerStateWaiting,
    V1ContainerStatus,
    V1Job,
    V1JobCondition,
    V1JobSpec,
    V1JobStatus,
    V1ObjectMeta,
    V1ObjectReference,
    V1Pod,
    V1PodCondition,
    V1PodSpec,
    V1PodStatus,
    V1PodTemplateSpec,
    V1ResourceRequirements,
)
from structlog.testing import capture_logs

from stager.dispatch.cluster import Pods
from stager.dispatch.pod_trouble import PodTrouble, Remedy, trouble_of

MADE, ENDED = (datetime(2026, 11, 24, 21, minute, tzinfo=UTC) for minute in (0, 5))
IMAGE = "registry.example.org/staging:1"
BACKOFF = "BackoffLimitExceeded"


def job(failed: str | None = None) -> V1Job:
    condition = V1JobCondition(type="Failed", status="True", reason=failed, last_transition_time=ENDED)
    return V1Job(
        metadata=V1ObjectMeta(name="a", creation_timestamp=MADE),
        spec=V1JobSpec(active_deadline_seconds=60, template=V1PodTemplateSpec()),
        status=V1JobStatus(conditions=[condition] if failed else None),
    )


def container(**state: Any) -> V1ContainerStatus:
    state_now = V1ContainerState(**state)
    return V1ContainerStatus(name="a", image=IMAGE, image_id="", ready=False, restart_count=0, state=state_now)


def pod(phase: str, *containers: V1ContainerStatus, removed: tuple[str, str] | None = None) -> V1Pod:
    moved = removed and [V1PodCondition(type="DisruptionTarget", status="True", reason=removed[0], message=removed[1])]
    return V1Pod(status=V1PodStatus(phase=phase, container_statuses=list(containers), conditions=moved))


def waiting(reason: str, message: str) -> V1Pod:
    return pod("Pending", container(waiting=V1ContainerStateWaiting(reason=reason, message=message)))


def killed(code: int, **removed: tuple[str, str]) -> V1Pod:
    return pod("Failed", container(terminated=V1ContainerStateTerminated(exit_code=code, reason="Error")), **removed)


def out_of_memory(*, resources: V1ResourceRequirements | None) -> V1Pod:
    found = pod("Failed", container(terminated=V1ContainerStateTerminated(exit_code=137, reason="OOMKilled")))
    found.spec = V1PodSpec(containers=[V1Container(name="beside"), V1Container(name="a", resources=resources)])
    return found


def warning(reason: str, message: str) -> CoreV1Event:
    return CoreV1Event(
        metadata=V1ObjectMeta(name="a"), involved_object=V1ObjectReference(name="a"), reason=reason, message=message
    )


RPC = "failed to pull image: rpc error: code = "
AWAY = 'failed to do request: Head "https://registry.example.org": dial tcp: i/o timeout'
GONE = "failed to pull and unpack image: manifest unknown"
SECRET = 'secret "records" not found'
PUSHED = "preempting to accommodate a higher priority pod"
LIMITED = V1ResourceRequirements(limits={"memory": "64Mi"})
NO_LIMIT = "its pod was killed: its node had no memory left, and it has no limit of its own"
PULL = f"its image {IMAGE} cannot be pulled: "
CANNOT = "its container cannot be started (CreateContainerConfigError): "


@pytest.mark.parametrize(
    ("found", "remedy", "words"),
    [
        (waiting("ImagePullBackOff", f"{RPC}Unknown desc = {AWAY}"), Remedy.TIME, f"{PULL}{AWAY}"),
        (waiting("ErrImagePull", f"{RPC}NotFound desc = {GONE}"), Remedy.NOTHING, f"{PULL}{GONE}"),
        (waiting("CreateContainerConfigError", SECRET), Remedy.NOTHING, f"{CANNOT}{SECRET}"),
    ],
)
def test_a_pod_that_does_not_begin_says_why(found: V1Pod, remedy: Remedy, words: str) -> None:
    trouble = trouble_of(job(), found, [])
    assert trouble is not None
    assert (trouble.remedy, trouble.words, trouble.since) == (remedy, words, MADE)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (killed(137), "its pod's process ended with exit code 137"),
        (killed(143, removed=("PreemptionByScheduler", f"{PUSHED}.")), f"its pod was removed: {PUSHED}"),
        (pod("Failed"), "its node lost its pod"),
        (out_of_memory(resources=None), NO_LIMIT),
        (out_of_memory(resources=V1ResourceRequirements()), NO_LIMIT),
        (out_of_memory(resources=V1ResourceRequirements(limits={"cpu": "1"})), NO_LIMIT),
        (None, "its pod was deleted"),
    ],
)
def test_a_pod_that_died_says_of_what_and_another_may_live(found: V1Pod | None, words: str) -> None:
    trouble = trouble_of(job(failed=BACKOFF), found, [])
    assert trouble is not None
    assert (trouble.remedy, trouble.words, trouble.since) == (Remedy.ANOTHER_POD, words, ENDED)


def test_a_pod_that_needed_more_than_its_limit_is_not_tried_again() -> None:
    trouble = trouble_of(job(failed=BACKOFF), out_of_memory(resources=LIMITED), [])
    assert trouble is not None
    words = "its pod was killed: it needed more memory than its limit of 64Mi"
    assert (trouble.remedy, trouble.words) == (Remedy.NOTHING, words)


def test_a_pod_that_is_gone_is_known_by_its_last_event() -> None:
    trouble = trouble_of(job(failed=BACKOFF), None, [warning("Evicted", "The node was low on resource: memory. ")])
    assert trouble is not None
    assert trouble.words == "its pod was removed: The node was low on resource: memory"


def test_a_quota_is_said_in_the_same_words_at_each_try() -> None:
    tries = [warning("FailedCreate", f'Error creating: pods "a-{pod}" is forbidden: exceeded quota: q') for pod in "bc"]
    troubles = [trouble_of(job(), None, tries[: number + 1]) for number in range(2)]
    assert [trouble and trouble.words for trouble in troubles] == ["its pod cannot be created: exceeded quota: q"] * 2


def test_a_job_that_took_too_long_is_not_tried_again() -> None:
    trouble = trouble_of(job(failed="DeadlineExceeded"), None, [])
    assert trouble is not None
    assert (trouble.remedy, trouble.words) == (Remedy.NOTHING, "it took longer than the 60 seconds that a Job may take")


@pytest.mark.parametrize("found", [pod("Running"), pod("Succeeded"), pod("Pending"), None])
def test_a_pod_that_works_has_no_plight(found: V1Pod | None) -> None:
    assert trouble_of(job(), found, []) is None


OUR_POOL = {"prefect.io/work-pool-name": "staging-kubernetes"}


def object_of(run: str, name: str, status: dict[str, Any], labels: dict[str, str]) -> dict[str, Any]:
    """Return a Job or a pod of it as Kubernetes answers."""
    labels = {"prefect.io/flow-run-id": run, "batch.kubernetes.io/job-name": name, **labels}
    metadata = {"name": name, "labels": labels, "creationTimestamp": "2026-11-24T21:00:00Z"}
    return {"metadata": metadata, "status": status}


def is_selected(labels: dict[str, str], selector: str) -> bool:
    wanted = [one.partition("=") for one in selector.split(",")]
    return all(name in labels and (not equals or labels[name] == value) for name, equals, value in wanted)


@contextmanager
def cluster(**kinds: list[dict[str, Any]]) -> Iterator[str]:
    """Give the address of an API server that has some objects, by their kinds' names in its paths."""

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            selector = parse_qs(url.query).get("labelSelector", [""])[0]
            found = kinds.get(url.path.rpartition("/")[2], [])
            items = [one for one in found if is_selected(one["metadata"]["labels"], selector)]
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps({"metadata": {}, "items": items}).encode())

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


async def troubles(address: str) -> dict[str, PodTrouble | None]:
    async with ApiClient(Configuration(host=address)) as client:
        return await Pods(client, "staging").troubles()


def test_whatever_one_job_looks_like_the_others_are_looked_at_and_foreign_ones_are_not() -> None:
    failed = {"conditions": [{"type": "Failed", "status": "True", "reason": BACKOFF}]}
    stateless = {"name": "a", "image": IMAGE, "imageID": "", "ready": False, "restartCount": 0}
    odd = {"phase": "Failed", "containerStatuses": [stateless]}
    jobs = [
        object_of("1", "odd", failed, OUR_POOL),
        object_of("2", "dead", failed, OUR_POOL),
        object_of("3", "foreign", failed, {"prefect.io/work-pool-name": "other"}),
        object_of("4", "by-hand", failed, {}),
    ]
    with cluster(jobs=jobs, pods=[object_of("1", "odd", odd, OUR_POOL)]) as address:
        found = asyncio.run(troubles(address))
    words = {run: trouble and trouble.words for run, trouble in found.items()}
    assert words == {"1": None, "2": "its pod was deleted"}


def test_a_job_that_nobody_understands_is_logged_once_and_again_when_the_reason_is_another() -> None:
    failed = {"conditions": [{"type": "Failed", "status": "True", "reason": BACKOFF}]}
    container = {"name": "a", "image": IMAGE, "imageID": "", "ready": False, "restartCount": 0}
    killed = {"state": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}
    stateless, specless = ({"containerStatuses": [{**container, **state}]} for state in ({}, killed))
    odd = object_of("1", "odd", {}, OUR_POOL)
    seen: list[tuple[int, set[str]]] = []

    async def look(address: str) -> None:
        async with ApiClient(Configuration(host=address)) as client:
            pods = Pods(client, "staging")
            for status in (stateless, stateless, specless, specless, {}, specless):
                odd["status"] = status
                with capture_logs() as logs:
                    found = await pods.troubles()
                seen.append((len(logs), {run for run, trouble in found.items() if trouble}))

    jobs = [object_of("1", "odd", failed, OUR_POOL), object_of("2", "dead", failed, OUR_POOL)]
    with cluster(jobs=jobs, pods=[odd]) as address:
        asyncio.run(look(address))
    assert seen == [(1, {"2"}), (0, {"2"}), (1, {"2"}), (0, {"2"}), (0, {"1", "2"}), (1, {"2"})]
