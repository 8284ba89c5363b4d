"""The chart's pool of pods, with Prefect on PostgreSQL: what Roles, template and databases are to a run in a pod."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.cluster.conftest import Release, eventually
from tests.cluster.pages import carry_out, commands, lay_out

POOL = "/work_pools/staging-kubernetes"
# Files enough for a pod with little CPU to be copying them for a while.
MANY = "mkdir /node/storage_a/midway; cd /node/storage_a/midway; head -c 20000000 /dev/urandom | split -b 500 -a 4"
VALUES = {
    "warmWorker": {"enabled": False},
    "config": {"settings": {"STAGER_WAIT": "0", "STAGER_RECONCILE_INTERVAL": "1"}},
    "flowRuns": {"resources": {"requests": {"cpu": "10m"}}},
}
POSTGRES_IMAGE = os.environ.get("TEST_POSTGRES_IMAGE")


def with_postgresql(image: str) -> dict[str, Any]:
    repository, _, tag = image.rpartition(":")
    named = {"repository": repository, "tag": tag}
    return {"prefect": {"database": {"type": "postgresql"}, "postgresql": {"image": named}}}


@pytest.fixture(scope="module")
def pooled(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The release without warm workers: every request gets a pod, which nobody waits for."""
    values = yaml.safe_load(release.values.read_text()) | VALUES
    if POSTGRES_IMAGE:
        values |= with_postgresql(POSTGRES_IMAGE)
    file = tmp_path_factory.mktemp("pooled") / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    pooled = replace(release, values=file)
    pooled.install()
    pooled.hand.write("storage_a/pooled.txt", "pooled")
    return pooled


@pytest.fixture(scope="module")
def prefect(pooled: Release) -> Iterator[httpx.Client]:
    with pooled.prefect() as client:
        yield client


@contextmanager
def edited(prefect: httpx.Client, *, image: str | None = None, **defaults: str) -> Iterator[None]:
    """Let the template have another image or other defaults, as somebody edits it in Prefect, until the body ends."""
    template = prefect.get(POOL).raise_for_status().json()["base_job_template"]
    other = deepcopy(template)
    for name, value in defaults.items():
        other["variables"]["properties"][name]["default"] = value
    (container,) = other["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]["containers"]
    container["image"] = image or container["image"]
    prefect.patch(POOL, json={"base_job_template": other}).raise_for_status()
    try:
        yield
    finally:
        prefect.patch(POOL, json={"base_job_template": template}).raise_for_status()


def asked(pooled: Release, source: str, destination: str) -> str:
    """Ask for a staging, and return the request's id at once."""
    status, answer = pooled.stage(source, destination)
    assert status == HTTPStatus.ACCEPTED
    return str(answer["request_id"])


def ended(pooled: Release, request: str) -> dict[str, Any]:
    """Return a request's record when it has ended."""
    eventually(lambda: pooled.ending(request), "the end of a request")
    return pooled.record(request)


def of_its_run(pooled: Release, kind: str, request: str) -> list[dict[str, Any]]:
    """Return the Jobs or the pods of a request's flow run."""
    run = pooled.record(request)["flow_run_id"]
    return list(pooled.cluster.get(kind, "--selector", f"prefect.io/flow-run-id={run}")["items"])


def test_helm_test_stages_a_file_through_the_pool(pooled: Release) -> None:
    before = set(pooled.records())
    pooled.cluster.helm("test", pooled.name, "--timeout", "10m")
    (request,) = set(pooled.records()) - before
    assert pooled.record(request)["acting_as"] == "staging-test (uid 65532, gid 65532)"

    def succeeded() -> list[int]:
        return [job["status"].get("succeeded", 0) for job in of_its_run(pooled, "jobs", request)]

    eventually(lambda: succeeded() == [1], "the end of the Job, which comes after that of its record")


def test_no_job_and_no_pod_has_a_password_in_clear(pooled: Release, prefect: httpx.Client) -> None:
    del prefect
    request = asked(pooled, "pooled.txt", "clear.txt")
    assert ended(pooled, request)["status"] == "completed"
    assert of_its_run(pooled, "jobs", request)
    everything = pooled.cluster.kubectl("get", "jobs,pods,configmaps,deployments,statefulsets", "--output", "json")
    for part in ("mysql", "prefect"):
        secret = pooled.cluster.get("secret", f"{pooled.fullname}-{part}")["data"]
        assert base64.b64decode(secret["password"]).decode() not in everything, part


def test_an_image_that_cannot_be_pulled_is_on_record(pooled: Release, prefect: httpx.Client) -> None:
    with edited(prefect, image="skao-staging-service:none"):
        record = ended(pooled, request := asked(pooled, "pooled.txt", "refused.txt"))
    assert record["status"] == "failed"
    assert "its image skao-staging-service:none cannot be pulled" in record["error_reason"]
    eventually(lambda: not of_its_run(pooled, "jobs", request), "no Job of a run that can never begin")


def test_cancelling_in_prefect_ends_a_pod_of_the_chart(pooled: Release, prefect: httpx.Client) -> None:
    pooled.hand.run("sh", "-ec", MANY)
    with edited(prefect, cpu_limit="300m"):
        request = asked(pooled, "midway", "midway")
        eventually(lambda: ".stager-" in delivered(pooled), "a run that copies")
    run = pooled.record(request)["flow_run_id"]
    prefect.post(f"/flow_runs/{run}/set_state", json={"state": {"type": "CANCELLING"}}).raise_for_status()
    assert ended(pooled, request)["status"] == "cancelled"
    eventually(lambda: not going(pooled, request), "the end of a cancelled run's pod")
    assert "midway" not in delivered(pooled)
    assert ".stager-" not in delivered(pooled)


def delivered(pooled: Release) -> str:
    """Return the names in alice's folder, temporary ones too."""
    return pooled.hand.run("sh", "-c", "ls -A /node/user_areas/alice || true")


def going(pooled: Release, request: str) -> list[str]:
    """Return how the pods of a request stand that have not ended."""
    phases = [pod["status"]["phase"] for pod in of_its_run(pooled, "pods", request)]
    return [phase for phase in phases if phase in {"Pending", "Running"}]


@pytest.mark.skipif(not POSTGRES_IMAGE, reason="needs an image of PostgreSQL: set TEST_POSTGRES_IMAGE to its name")
def test_prefects_postgresql_comes_back_from_its_backup_and_takes_another_password(
    pooled: Release, tmp_path: Path
) -> None:
    request = asked(pooled, "pooled.txt", "saved.txt")
    assert ended(pooled, request)["status"] == "completed"
    run = f"/flow_runs/{pooled.record(request)['flow_run_id']}"
    lay_out(pooled, tmp_path)
    *_sqlite, backup, restore = commands("how-to/kubernetes-operations.md", "Backup and restore")
    carry_out(pooled, backup, tmp_path)
    with pooled.prefect() as prefect:
        assert prefect.delete(run).is_success
    carry_out(pooled, restore, tmp_path)
    *_mariadb, change = commands("how-to/kubernetes-operations.md", "Changing a password")
    carry_out(pooled, change, tmp_path)
    pooled.cluster.kubectl("rollout", "status", f"deployment/{pooled.fullname}-prefect", "--timeout=300s")

    with pooled.prefect() as prefect:
        assert prefect.get(run).json()["state"]["type"] == "COMPLETED"
    assert ended(pooled, asked(pooled, "pooled.txt", "saved-again.txt"))["status"] == "completed"
