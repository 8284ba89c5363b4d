"""The chart's life: upgraded, rolled back, without its database for a while, scaled, uninstalled; in this order."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

import pytest

from tests.cluster.conftest import Release, eventually
from tests.cluster.pages import DOCS, carry_out, commands, lay_out

# Stages one file after the other, with a rest between, until told to stop, and prints what each was answered.
STEADILY = """
import httpx, itertools, pathlib, sys, time
began = time.time_ns()  # what an earlier test has staged would be skipped
for number in itertools.count():
    if pathlib.Path("/node/stop").exists():
        break
    body = {"data": {"local_path_on_storage": "steady.txt", "relative_path": f"steady/{began}/{number}.txt"}}
    answer = httpx.post(f"{sys.argv[1]}/stage_data?method=local_copy&username=alice", json=body, timeout=300)
    print(answer.status_code, answer.json().get("status"), flush=True)
    time.sleep(1)
"""
ONCE = """
import httpx, sys
body = {"data": {"local_path_on_storage": "many", "relative_path": "many"}}
httpx.post(f"{sys.argv[1]}/stage_data?method=local_copy&username=alice", json=body, timeout=300)
"""

# For longer than a pod that goes waits for proxies to hear of it, in seconds.
GOING = 8.0
# Fetches a part of a file, and prints what the answer says of itself, and the part's checksum.
A_PART = """
import hashlib, httpx, sys
part = httpx.get(f"{sys.argv[1]}/files/source/parts.bin", headers={"Range": "bytes=1000-2999999"}, timeout=300)
print(part.status_code, part.headers["server"], part.headers["content-range"], hashlib.sha256(part.content).hexdigest())
"""
# Fetches a large file, of which it takes nothing for a while once it has begun, and prints the file's checksum.
SLOWLY = """
import hashlib, httpx, pathlib, sys, time
found = hashlib.sha256()
with httpx.stream("GET", f"{sys.argv[1]}/files/source/slow.bin", timeout=300) as answer:
    print(answer.headers["server"], flush=True)
    while not pathlib.Path("/node/stop").exists():
        time.sleep(0.2)
    for block in answer.iter_bytes():
        found.update(block)
print(found.hexdigest())
"""
NGINX_IMAGE = os.environ.get("TEST_NGINX_IMAGE")


@contextmanager
def beside(release: Release, script: str) -> Iterator[subprocess.Popen[str]]:
    """Run a script in the cluster while the body runs; it is given the service's address."""
    url = f"http://{release.fullname}-api:8000"
    command = ["kubectl", "--namespace", release.cluster.namespace, "exec", "hand", "--", "python", "-c", script, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        yield process


@contextmanager
def steady_work(release: Release) -> Iterator[list[str]]:
    """Have files staged all the while; in the end the list says what each was answered."""
    release.hand.write("storage_a/steady.txt", "steady")
    release.hand.run("rm", "-f", "/node/stop")
    answers: list[str] = []
    with beside(release, STEADILY) as work:
        try:
            yield answers
        finally:
            release.hand.run("touch", "/node/stop")
            answers += work.communicate(timeout=400)[0].splitlines()


def passwords(release: Release) -> dict[str, str]:
    """Return those of the records database and of Prefect."""
    found = {part: release.cluster.get("secret", f"{release.fullname}-{part}")["data"] for part in ("mysql", "prefect")}
    return {f"{part} {key}": value for part, secret in found.items() for key, value in secret.items()}


def all_ended(release: Release) -> dict[str, str] | None:
    """Return how every request ended, None while one has not."""
    records = release.records()
    return None if {"submitted", "started"} & set(records.values()) else records


def test_an_upgrade_and_a_rollback_lose_no_request_and_no_password(release: Release) -> None:
    records, secrets = release.records(), passwords(release)
    with steady_work(release) as answers:
        release.install("--set", "logging.level=INFO", "--set", "warmWorker.readyProcesses=2")
        assert passwords(release) == secrets
        release.cluster.helm("rollback", release.name, "--wait", "--timeout", "10m")
    assert passwords(release) == secrets
    # 202 is for what took longer than a caller waits.
    assert {answer.split()[0] for answer in answers} <= {"200", "202"}
    staged = eventually(lambda: all_ended(release), "the end of everything that was asked for")
    assert len(staged) >= len(records) + len(answers)
    assert set(staged.values()) == {"completed"}
    assert records.items() <= staged.items()


def without_a_password(release: Release) -> None:
    """Make of the release what one of before was: its Prefect asks for no password, and nobody has one."""
    server = f"statefulset/{release.fullname}-prefect"
    args = [{"op": "replace", "path": "/spec/template/spec/containers/0/args", "value": ["prefect", "server", "start"]}]
    release.cluster.kubectl("patch", server, "--type=json", "--patch", json.dumps(args))
    release.cluster.kubectl("set", "env", server, "PREFECT_SERVER_API_AUTH_STRING-")
    workers = [f"deployment/{release.fullname}-{part}" for part in ("api", "warm-worker", "kubernetes-worker")]
    release.cluster.kubectl("set", "env", *workers, "PREFECT_API_AUTH_STRING-")
    for part in (server, *workers):
        release.cluster.kubectl("rollout", "status", part, "--timeout=300s")
    release.cluster.kubectl("delete", "secret", f"{release.fullname}-prefect")


def test_an_upgrade_that_brings_prefects_password_loses_no_request(release: Release) -> None:
    without_a_password(release)
    make = "mkdir -p /node/storage_a/midst && cd /node/storage_a/midst && seq 20000 | xargs -n 500 touch"
    release.hand.run("sh", "-c", make)
    before = set(release.records())
    with steady_work(release) as answers, beside(release, ONCE.replace('"many"', '"midst"')):
        begun = "ls -d /node/user_areas/alice/.stager-* /node/user_areas/alice/midst 2> /dev/null | grep -q ."
        release.hand.run("sh", "-c", f"until {begun}; do sleep 0.05; done")
        release.install()
    staged = eventually(lambda: all_ended(release), "the end of everything that was asked for")
    assert {answer.split()[0] for answer in answers} <= {"200", "202"}
    assert len(staged) >= len(before) + len(answers) + 1
    assert set(staged.values()) == {"completed"}
    assert release.hand.run("sh", "-c", "ls /node/user_areas/alice/midst | wc -l") == "20000\n"
    with release.prefect() as prefect:
        prefect.auth = None  # type: ignore[assignment] # as its setter takes it
        assert prefect.post("/flow_runs/count").status_code == HTTPStatus.UNAUTHORIZED


def test_prefects_password_is_changed_by_the_pages_commands(release: Release, tmp_path: Path) -> None:
    (change,) = commands("how-to/kubernetes-operations.md", "Changing Prefect's password")
    with steady_work(release) as answers:
        carry_out(release, change, tmp_path)
        for part in ("statefulset/{}-prefect", "deployment/{}-api", "deployment/{}-warm-worker"):
            release.cluster.kubectl("rollout", "status", part.format(release.fullname), "--timeout=300s")
    assert base64.b64decode(passwords(release)["prefect password"]) == b"NEW"
    assert {answer.split()[0] for answer in answers} <= {"200", "202"}
    assert set(eventually(lambda: all_ended(release), "the end of everything that was asked for").values()) == {
        "completed"
    }


def test_a_database_that_goes_in_mid_run_costs_no_request(release: Release) -> None:
    make = "mkdir -p /node/storage_a/many && cd /node/storage_a/many && seq 5000 | xargs -n 500 touch"
    release.hand.run("sh", "-c", make)
    before = set(release.records())
    with beside(release, ONCE):
        (new,) = eventually(lambda: set(release.records()) - before, "a record of the request")
        release.cluster.kubectl("delete", "pod", f"{release.fullname}-mysql-0", "--grace-period=0", "--force")
        ending = eventually(lambda: release.ending(new), "the end of a request whose database went away")
    assert ending == "completed"
    assert release.hand.run("sh", "-c", "ls /node/user_areas/alice/many | wc -l") == "5000\n"


def test_the_api_never_loses_all_its_pods_to_an_eviction(release: Release) -> None:
    deployment = f"deployment/{release.fullname}-api"
    release.cluster.kubectl("rollout", "status", deployment, "--timeout=300s")
    pods = release.cluster.get("pods", "--selector", "app.kubernetes.io/component=api")["items"]
    first, second = (pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"])
    assert evicted(release, first) == ""
    assert "(TooManyRequests)" in evicted(release, second)
    release.cluster.kubectl("rollout", "status", deployment, "--timeout=300s")


def evicted(release: Release, pod: str) -> str:
    """Evict a pod, as draining its node does, and return what the cluster says against it."""
    metadata = {"name": pod, "namespace": release.cluster.namespace}
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    path = f"/api/v1/namespaces/{release.cluster.namespace}/pods/{pod}/eviction"
    command = ["kubectl", "create", "--raw", path, "--filename", "-"]
    return subprocess.run(command, input=json.dumps(eviction), capture_output=True, text=True, check=False).stderr


@pytest.fixture(scope="module")
def larger_release(release: Release) -> Release:
    """The release with its API scaled, `POST /create-file`, and an nginx where there is an image of one."""
    # Even an idle API uses more than a hundredth of what it asks for.
    targets = dict.fromkeys(("targetCPUUtilizationPercentage", "targetMemoryUtilizationPercentage"), "1")
    scaled = {"enabled": "true", "minReplicas": "1", "maxReplicas": "3", **targets}
    values = {f"autoscaling.{key}": value for key, value in scaled.items()}
    values |= {"storage.source.readOnly": "false", "config.settings.STAGER_CREATE_FILE_BYTES": "1000000"}
    if NGINX_IMAGE:
        repository, _, tag = NGINX_IMAGE.rpartition(":")
        values |= {"nginx.enabled": "true", "nginx.image.repository": repository, "nginx.image.tag": tag}
    release.install(*(option for key, value in values.items() for option in ("--set", f"{key}={value}")))
    return release


def test_an_upgrade_goes_on_with_the_password_that_was_changed(larger_release: Release) -> None:
    assert base64.b64decode(passwords(larger_release)["prefect password"]) == b"NEW"


def test_the_api_is_scaled_by_its_use_and_its_memory(larger_release: Release) -> None:
    if "v1beta1.metrics.k8s.io" not in larger_release.cluster.kubectl("get", "apiservices", "--output", "name"):
        pytest.skip("needs the cluster's metrics (metrics.k8s.io)")
    name = f"{larger_release.fullname}-api"

    def measured() -> set[str]:
        status = larger_release.cluster.get("horizontalpodautoscaler", name)["status"]
        return {one["resource"]["name"] for one in status.get("currentMetrics") or () if one.get("resource")}

    eventually(lambda: measured() == {"cpu", "memory"}, "both measures of the API")
    eventually(
        lambda: larger_release.cluster.get("deployment", name)["status"].get("readyReplicas") == 3, "3 pods of the API"
    )


def test_the_demos_walk_through_works(larger_release: Release) -> None:
    larger_release.hand.run("chmod", "0777", "/node/storage_a")
    status, _ = larger_release.call("POST", "/create-file", {"path": "/mnt/storage_a/File2.txt", "content": "Hello"})
    assert status == HTTPStatus.CREATED
    status, answer = larger_release.stage("/mnt/storage_a/File2.txt", "File2Copy.txt")
    assert (status, answer["status"]) == (200, "success")
    folder, worker = "/mnt/user_areas/alice", f"deploy/{larger_release.fullname}-warm-worker"
    listed = larger_release.cluster.kubectl("exec", worker, "--", "ls", "-la", folder)
    assert any(line.startswith("-r--------") and line.endswith(" File2Copy.txt") for line in listed.splitlines())


needs_nginx = pytest.mark.skipif(not NGINX_IMAGE, reason="needs an image of nginx: set TEST_NGINX_IMAGE to its name")


@needs_nginx
def test_an_nginx_sends_a_part_of_a_large_file_and_its_record_closes(larger_release: Release) -> None:
    larger_release.hand.run("sh", "-c", "head -c 4000000 /dev/urandom > /node/storage_a/parts.bin")
    before = set(larger_release.records())
    with beside(larger_release, A_PART) as script:
        told = script.communicate(timeout=400)[0].strip()
    part = larger_release.hand.run(
        "sh", "-c", "head -c 3000000 /node/storage_a/parts.bin | tail -c 2999000 | sha256sum"
    )
    assert told == f"206 nginx bytes 1000-2999999/4000000 {part.split()[0]}"
    (download,) = set(larger_release.records()) - before
    assert eventually(lambda: larger_release.ending(download), "the end of a download's record") == "completed"


@needs_nginx
def test_an_nginx_that_goes_sends_what_it_began(larger_release: Release) -> None:
    hand, before = larger_release.hand, set(larger_release.records())
    hand.run("sh", "-c", "rm -f /node/stop; head -c 100000000 /dev/urandom > /node/storage_a/slow.bin")
    with beside(larger_release, SLOWLY) as script:
        assert script.stdout is not None
        assert script.stdout.readline() == "nginx\n"
        api = ("--selector", "app.kubernetes.io/component=api")
        larger_release.cluster.kubectl("delete", "pods", *api, "--wait=false")
        time.sleep(GOING)
        hand.run("touch", "/node/stop")
        assert (
            script.communicate(timeout=400)[0].strip() == hand.run("sha256sum", "/node/storage_a/slow.bin").split()[0]
        )
    (download,) = set(larger_release.records()) - before
    assert eventually(lambda: larger_release.ending(download), "the end of a download's record") == "completed"


def test_uninstalled_and_installed_again_it_goes_on_with_its_records(release: Release, tmp_path: Path) -> None:
    records, secrets = release.records(), passwords(release)
    release.cluster.helm("uninstall", release.name)
    lay_out(release, tmp_path)
    *_, install, stage, look = commands("start/kubernetes.md", "From nothing to the first staging")
    assert "Succeeded" in carry_out(release, install, tmp_path)
    assert passwords(release) == secrets
    assert records.items() <= release.records().items()
    answer = re.findall(r"{.*}", carry_out(release, within_reach(stage), tmp_path))
    assert f"`{answer[-1]}`" in (DOCS / "start" / "kubernetes.md").read_text()
    listed = carry_out(release, look, tmp_path).splitlines()
    assert [line.split()[:4] for line in listed if line.endswith(" File1Copy.txt")] == [
        ["-r--------", "1", "70001", "70001"]
    ]


def within_reach(block: str) -> str:
    """Return the page's commands for a node that is another machine, and a port that is free here."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    block = re.sub(r"> ~/storages/(\S+)", r"| kubectl exec --stdin hand -- tee /node/\1", block)
    return block.replace("8000:8000", f"{port}:8000").replace("127.0.0.1:8000", f"127.0.0.1:{port}")
