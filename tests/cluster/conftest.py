"""A release of the chart on a real cluster, installed once and shared by all tests.

Any cluster will do: ``KUBECONFIG`` names it, and ``TEST_IMAGE`` the image, which
must be there already (docs/start/kubernetes.md says how on kind and minikube).
``TEST_INGRESS`` is the address of the cluster's Ingress controller, and
``TEST_HOST`` that at which its pods reach this machine.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.open_folder import open_folder
from tests.patience import PATIENCE
from tests.peers.running_hub import RunningHub

CHART = Path(__file__).parents[2] / "charts" / "skao-staging-service"
MISSING = next((program for program in ("kubectl", "helm") if shutil.which(program) is None), None)
# Seconds from one question to the next: each starts a kubectl, which costs as much as what it waits for.
PAUSE = 1.0
# Where the tests have their folders on the node.
FOLDERS = "/var/lib/staging-tests"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test here the marker."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


def eventually(question: Callable[[], Any], what: str, *, patience: float = PATIENCE) -> Any:
    """Return the first answer that is true, asked again and again."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if answer := question():
            return answer
        time.sleep(PAUSE)
    pytest.fail(f"not within {patience:.0f} s: {what}")


def run(*command: str, stdin: str | None = None, timeout: float = 600) -> str:
    """Return what a command prints; one that fails ends the test with what it said."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=timeout)
    if done.returncode:
        pytest.fail(f"{' '.join(command)}: {done.stderr or done.stdout}")
    return done.stdout


@dataclass(frozen=True)
class Cluster:
    """The cluster that KUBECONFIG names, seen from one namespace."""

    namespace: str

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return run("kubectl", "--namespace", self.namespace, *arguments, stdin=stdin)

    def helm(self, *arguments: str) -> str:
        return run("helm", "--namespace", self.namespace, *arguments)

    def get(self, *what: str) -> Any:
        """Return objects as Kubernetes tells them."""
        return json.loads(self.kubectl("get", *what, "--output", "json"))

    def apply(self, *manifests: dict[str, Any]) -> None:
        self.kubectl("apply", "--filename", "-", stdin=yaml.safe_dump_all(manifests))


@dataclass(frozen=True)
class Hand:
    """A pod of root that reaches into a folder of the node: /node in it."""

    cluster: Cluster
    folder: str

    def run(self, *command: str) -> str:
        return self.cluster.kubectl("exec", "hand", "--", *command)

    def write(self, path: str, content: str) -> None:
        script = 'mkdir -p "$(dirname "$1")" && printf %s "$2" > "$1"'
        self.run("sh", "-c", script, "sh", f"/node/{path}", content)


@dataclass(frozen=True)
class Release:
    """The chart, installed."""

    cluster: Cluster
    hand: Hand
    values: Path
    name: str = "staging"
    options: tuple[str, ...] = field(default=("--wait", "--timeout", "10m"))

    @property
    def fullname(self) -> str:
        """The beginning of its objects' names."""
        return f"{self.name}-skao-staging-service"

    def install(self, *options: str) -> None:
        """Install it, or upgrade it with more options."""
        chart = ("upgrade", "--install", self.name, str(CHART), "--values", str(self.values))
        self.cluster.helm(*chart, *self.options, *options)

    @contextmanager
    def prefect(self) -> Iterator[httpx.Client]:
        """Give a client of Prefect's API, which has its password."""
        with forwarded(self.cluster, f"service/{self.fullname}-prefect", 4200, path="/api") as client:
            said = self.cluster.get("secret", f"{self.fullname}-prefect")["data"]
            client.auth = base64.b64decode(said["username"]), base64.b64decode(said["password"])
            yield client

    def call(self, method: str, path: str, body: object = None, *, token: str = "") -> Any:
        """Return the API's answer to a call from within the cluster: its status and its body."""
        script = (
            "import httpx, json, sys\n"
            "verb, url, token, body = sys.argv[1:]\n"
            "headers = {'Authorization': f'Bearer {token}'} if token else {}\n"
            "answer = httpx.request(verb, url, headers=headers, content=body or None, timeout=120)\n"
            "print(json.dumps([answer.status_code, answer.text]))\n"
        )
        url = f"http://{self.fullname}-api:8000{path}"
        said = self.hand.run("python", "-c", script, method, url, token, "" if body is None else json.dumps(body))
        status, text = json.loads(said)
        return status, json.loads(text)

    def stage(self, source: str, destination: str, *, username: str = "alice") -> Any:
        """Return the demo's answer to a staging by local_copy: its status and its body."""
        body = {"data": {"local_path_on_storage": source, "relative_path": destination}}
        return self.call("POST", f"/stage_data?method=local_copy&username={username}", body)

    def records(self) -> dict[str, str]:
        """Return how every request stands, by its id, as soon as the database answers."""
        page = eventually(self._page, "an answer with the records")
        return {request["request_id"]: request["status"] for request in page["requests"]}

    def _page(self) -> Any:
        status, page = self.call("GET", "/requests?limit=1000")
        return page if status == HTTPStatus.OK else None

    def record(self, request_id: str) -> dict[str, Any]:
        """Return all that is on record of a request."""
        return dict(self.call("GET", f"/requests/{request_id}")[1])

    def ending(self, request_id: str) -> str | None:
        """Return how a request ended, None while it has not."""
        status = self.records()[request_id]
        return None if status in {"submitted", "started"} else status


@pytest.fixture(scope="session")
def image() -> str:
    """The image's name, as pods ask for it."""
    return os.environ.get("TEST_IMAGE", "skao-staging-service:test")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A namespace of our own; it goes at the end."""
    with a_namespace() as namespace:
        yield namespace


@contextmanager
def a_namespace() -> Iterator[Cluster]:
    """Give a new namespace of the cluster; it and all that is in it go at the end."""
    if MISSING or "KUBECONFIG" not in os.environ:
        pytest.skip(f"needs {MISSING}" if MISSING else "needs a Kubernetes: set KUBECONFIG")
    cluster = Cluster(f"chart-{uuid.uuid4().hex[:8]}")
    cluster.kubectl("create", "namespace", cluster.namespace)
    try:
        yield cluster
    finally:
        # A worker whose Prefect has gone would wait out its time.
        cluster.kubectl("delete", "pods", "--all", "--grace-period=0", "--force")
        cluster.kubectl("delete", "namespace", cluster.namespace, "--wait")


@contextmanager
def a_hand(cluster: Cluster, image: str) -> Iterator[Hand]:
    """Give a pod that reaches into a new folder of the node; both go at the end."""
    folder = f"{FOLDERS}/{cluster.namespace}"
    container = {
        "name": "hand",
        "image": image,
        "args": ["sleep", "infinity"],
        "securityContext": {"runAsUser": 0, "runAsGroup": 0},
        "volumeMounts": [{"name": "node", "mountPath": "/node"}, {"name": "folders", "mountPath": "/folders"}],
    }
    volumes = [
        {"name": name, "hostPath": {"path": path, "type": "DirectoryOrCreate"}}
        for name, path in (("node", folder), ("folders", FOLDERS))
    ]
    spec = {"containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": 0}
    cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "hand"}, "spec": spec})
    cluster.kubectl("wait", "--for=condition=Ready", "pod/hand", "--timeout=180s")
    hand = Hand(cluster, folder)
    hand.run("mkdir", "-p", "/node/storage_a", "/node/user_areas")
    try:
        yield hand
    finally:
        hand.run("rm", "-r", f"/folders/{cluster.namespace}")


@contextmanager
def forwarded(cluster: Cluster, what: str, port: int, *, path: str = "") -> Iterator[httpx.Client]:
    """Give a client of a port of a pod or a service."""
    command = ["kubectl", "--namespace", cluster.namespace, "port-forward", what, f":{port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forwarding:
        try:
            assert forwarding.stdout is not None
            here = forwarding.stdout.readline().split()[2]
            with httpx.Client(base_url=f"http://{here}{path}", timeout=60) as client:
                yield client
        finally:
            forwarding.terminate()


def page_values(hand: Hand, image: str, hub: RunningHub) -> dict[str, Any]:
    """Return the values of docs/start/kubernetes.md: but for image, host paths and hub, all is the chart's default."""
    page = (CHART.parents[1] / "docs" / "start" / "kubernetes.md").read_text()
    said = page.partition("```yaml\n")[2].partition("```")[0]
    repository, _, tag = image.rpartition(":")
    values: dict[str, Any] = yaml.safe_load(said.replace("/storages", hand.folder))
    values.setdefault("config", {})["jupyterHubUrl"] = hub.url
    return {"image": {"repository": repository, "tag": tag}, "jupyterHub": {"token": hub.tokens["staging"]}} | values


@pytest.fixture(scope="session")
def hub() -> Iterator[RunningHub]:
    """The hub of the release, at an address that pods reach; a test may start it."""
    with open_folder() as folder:
        hub = RunningHub(folder, host=os.environ.get("TEST_HOST", "127.0.0.1"))
        yield hub
        hub.stop()
        eventually(lambda: not hub.pids(), "the end of the hub")


@pytest.fixture(scope="session")
def release(
    cluster: Cluster, image: str, hub: RunningHub, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Release]:
    """The chart, installed with the values of docs/start/kubernetes.md, which knows one user, alice."""
    with a_hand(cluster, image) as hand:
        values = tmp_path_factory.mktemp("cluster") / "values.yaml"
        values.write_text(yaml.safe_dump(page_values(hand, image, hub)))
        release = Release(cluster, hand, values)
        release.install()
        yield release
        cluster.helm("uninstall", release.name, "--ignore-not-found")
