"""The chart on a real cluster: it installs with the page's values, stages, scales, and keeps what it was given."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time

import httpx
import pytest

from tests.cluster.conftest import CHART, Cluster, Release

# As the demo's values name it.
HOST = "staging-service.local"
# How long a client takes nothing of a download, in seconds.
STANDS_STILL = 15.0
OLD_VALUES = CHART.parents[1] / "tests" / "chart" / "values"
# Values files of the demo's time, something said on top, and what the notes say of both.
OLD = [
    (
        "nfs.yaml",
        "storage.source.ceph.enabled=true",
        [
            "rewrite-target is left out of the Ingress",
            "storage.source.ceph.enabled has no effect: storage.source.type says nfs",
        ],
    ),
    (
        "ceph.yaml",
        "storage.userArea.ceph.clusterID=site",
        [
            "storage.source.ceph.server: Kubernetes has no flexVolume any more",
            "cephfs.csi.ceph.com, which must know a cluster of the name ceph.example.org",
            "storage.source.ceph.options: its user and its key are in a Secret now",
            "storage.userArea.ceph.options: its user and its key are in a Secret now",
        ],
    ),
]


def test_helm_test_stages_a_file_and_looks_at_what_came_of_it(release: Release) -> None:
    release.cluster.helm("test", release.name, "--timeout", "10m")
    said = release.cluster.kubectl("logs", f"{release.fullname}-test")
    assert "ok: the bytes are those of the source" in said


def test_a_file_is_staged_for_its_user(release: Release) -> None:
    release.hand.write("storage_a/own.txt", "alice's own")
    status, answer = release.stage("/mnt/storage_a/own.txt", "own.txt")
    assert (status, answer["message"]) == (200, "Data staged for user alice with method local_copy")
    about = release.hand.run("stat", "--format", "%a %u %g", "/node/user_areas/alice/own.txt")
    assert about == "400 70001 70001\n"


def test_it_is_ready_with_every_part_named(release: Release) -> None:
    status, found = release.call("GET", "/health/ready")
    assert (status, found["status"]) == (200, "ready"), found
    assert found["parts"].keys() == {"database", "prefect", "area source", "area user"}


def test_the_notes_say_what_means_something_else_now_and_no_password(release: Release) -> None:
    notes = release.cluster.helm("get", "notes", release.name)
    assert "rewrite-target is left out" in notes
    assert "Authentication is off: anyone who reaches the service acts as any user" in notes
    for part in ("mysql", "prefect"):
        secret = release.cluster.get("secret", f"{release.fullname}-{part}")["data"]
        values = {key: base64.b64decode(value).decode() for key, value in secret.items() if key != "username"}
        assert not [key for key, value in values.items() if value in notes]


def test_prefect_answers_nobody_without_its_password_and_by_no_other_name(release: Release) -> None:
    with release.prefect() as prefect:
        assert prefect.post("/flow_runs/count").status_code == httpx.codes.OK
        foreign = {"Host": "evil.example.org:4200"}
        assert prefect.post("/flow_runs/count", headers=foreign).status_code == httpx.codes.FORBIDDEN
        assert prefect.get("/health", headers=foreign).status_code == httpx.codes.OK
        page = prefect.post("/flow_runs/count", headers={"Origin": "https://evil.example.org"})
        assert page.status_code == httpx.codes.FORBIDDEN
        prefect.auth = None  # type: ignore[assignment] # as its setter takes it
        assert prefect.post("/flow_runs/count").status_code == httpx.codes.UNAUTHORIZED
        assert prefect.get("/ready").status_code == httpx.codes.OK


@pytest.mark.parametrize(("file", "option", "notes"), OLD)
def test_the_cluster_takes_every_manifest_of_old_values_and_the_notes_say_what_they_mean_now(
    cluster: Cluster, file: str, option: str, notes: list[str]
) -> None:
    options = ("--values", str(OLD_VALUES / file), "--set", option, "--dry-run=server", "--output", "json")
    judged = json.loads(cluster.helm("install", "judged", str(CHART), *options))
    manifests = [judged["manifest"], *(hook["manifest"] for hook in judged["hooks"])]
    cluster.kubectl("create", "--dry-run=server", "--filename", "-", stdin="\n---\n".join(manifests))
    said = " ".join(judged["info"]["notes"].split())
    assert [note for note in notes if note not in said] == []


@pytest.fixture
def ingress() -> str:
    address = os.environ.get("TEST_INGRESS")
    if not address:
        pytest.skip("needs an Ingress controller: set TEST_INGRESS to its address")
    return address


@pytest.mark.parametrize("path", ["/docs", "/manual/", "/logs/", "/config/", "/requests"])
def test_the_ingress_leads_to_every_page(release: Release, ingress: str, path: str) -> None:
    del release
    answer = httpx.get(ingress + path, headers={"Host": HOST}, timeout=60)
    assert answer.status_code == httpx.codes.OK


def test_a_file_is_staged_through_the_ingress(release: Release, ingress: str) -> None:
    release.hand.write("storage_a/through.txt", "through the ingress")
    body = {"data": {"local_path_on_storage": "through.txt", "relative_path": "through.txt"}}
    query = {"method": "local_copy", "username": "alice"}
    answer = httpx.post(f"{ingress}/stage_data", params=query, json=body, headers={"Host": HOST}, timeout=120)
    assert answer.json()["status"] == "success"


def test_a_large_file_is_downloaded_through_the_ingress_however_slowly(release: Release, ingress: str) -> None:
    release.hand.run("sh", "-c", "head -c 200000000 /dev/urandom > /node/storage_a/large.bin")
    body = {"data": {"local_path_on_storage": "large.bin", "relative_path": "large.bin"}}
    query = {"method": "direct_download", "username": "alice"}
    found = hashlib.sha256()
    url, headers = f"{ingress}/stage_data", {"Host": HOST}
    with httpx.stream("POST", url, params=query, json=body, headers=headers, timeout=300) as answer:
        blocks = answer.iter_bytes()
        found.update(next(blocks))
        time.sleep(STANDS_STILL)
        for block in blocks:
            found.update(block)
    assert release.hand.run("sha256sum", "/node/storage_a/large.bin").split()[0] == found.hexdigest()


def test_what_happens_is_told_through_the_ingress_at_once(release: Release, ingress: str) -> None:
    release.hand.write("storage_a/watched.txt", "watched")
    headers = {"Host": HOST}
    with httpx.stream("GET", f"{ingress}/requests/stream", headers=headers, timeout=120) as everything:
        lines = everything.iter_lines()
        next(lines)  # it has begun to tell
        body = {"data": {"local_path_on_storage": "watched.txt", "relative_path": "watched.txt"}}
        query = {"method": "local_copy", "username": "alice"}
        answer = httpx.post(f"{ingress}/stage_data", params=query, json=body, headers=headers, timeout=120)
        assert answer.json()["status"] == "success"
        assert any('"completed"' in line for line in lines)  # and has not ended: it goes on for 15 minutes


def test_a_request_is_followed_to_its_end_through_the_ingress(release: Release, ingress: str) -> None:
    request_id = next(iter(release.records()))
    with httpx.stream("GET", f"{ingress}/requests/{request_id}/stream", headers={"Host": HOST}, timeout=120) as answer:
        told = [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]
    kinds = [one["kind"] for one in told if "kind" in one]  # the others tell of progress
    assert (kinds[0], kinds[-1]) == ("submitted", "completed")
