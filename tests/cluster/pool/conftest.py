"""A site of our own in the cluster, whose every request gets a pod, with short deadlines."""

from __future__ import annotations

import json
import secrets
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import pytest
import yaml

from deployments.job_template import SitePods, base_job_template
from tests.cluster.conftest import FOLDERS, PAUSE, forwarded
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from tests.cluster.conftest import Cluster

MANIFESTS = Template(Path(__file__).with_name("site.yaml").read_text())
# A file, and a folder of files that takes a while.
SOURCES = """
mkdir /site/storage/many
head -c 2000000 /dev/urandom | tee /site/storage/a.fits > /site/storage/linked.fits
cd /site/storage/many; head -c 13000000 /dev/urandom | split --bytes=1300 --suffix-length=4
"""
# A flow run that, once it copies, may go on for a moment every second only: long enough to say that it lives.
SLOWED = """
slow() {
    until ls -d /site/users/alice/.stager-*; do sleep 0.1; done
    while kill -s STOP -- -1; do sleep 1; kill -s CONT -- -1; sleep 0.1; done
}
slow > /dev/null 2>&1 &
exec python -m prefect.engine
"""
# A flow run that stands still once it copies.
FROZEN = """
python -m prefect.engine &
until ls -d /site/users/alice/.stager-* > /dev/null 2>&1; do sleep 0.1; done
kill -STOP $!
wait
"""
# The same, until it is told to end: then it cleans up.
PAUSED = f"""
trap 'kill -TERM $!; kill -CONT $!' TERM
{FROZEN}
wait
"""
# A lease that nothing here outlives, in seconds.
LONG = "3600"
T = TypeVar("T")
OVER = {"completed", "skipped", "failed", "cancelled"}
POOL = "/work_pools/staging-kubernetes"


@dataclass(frozen=True)
class Site:
    """The site's doors, and the node's folder with its storages."""

    cluster: Cluster
    folder: str
    http: httpx.Client
    prefect: httpx.Client

    # --- the storages ---

    def run(self, script: str, *arguments: str) -> str:
        """Return what a shell prints that has the storages at /site."""
        return self.cluster.kubectl("exec", "site", "-c", "service", "--", "sh", "-ec", script, "sh", *arguments)

    def delivered(self) -> dict[str, str]:
        """Return what is in the user's area: type, owner, group and mode by name, temporary names too."""
        listing = self.run("find /site/users/alice -mindepth 1 -maxdepth 1 -printf '%P %y %U %G %m\\n' || true")
        return dict(line.split(" ", 1) for line in listing.splitlines())

    def differences(self, source: str, destination: str) -> str:
        """Return what a delivery has otherwise than its source: nothing."""
        return self.run('diff -r "/site/storage/$1" "/site/users/alice/$2" || true', source, destination)

    # --- requests and their records ---

    @contextmanager
    def directly(self) -> Iterator[httpx.Client]:
        """Give a client of the service that needs no kubelet; only on the node itself."""
        address = self.cluster.get("pod", "site")["status"]["podIP"]
        with httpx.Client(base_url=f"http://{address}:8000", timeout=60) as client:
            yield client

    def ask(self, source: str, destination: str, *, method: str = "local_copy") -> str:
        """Ask for a staging, and return the request's id at once."""
        body = {"data": {"local_path_on_storage": source, "relative_path": destination}}
        answer = self.http.post("/stage_data", params={"method": method, "username": "alice"}, json=body)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["request_id"])

    def record(self, request_id: str) -> dict[str, Any]:
        return dict(self.http.get(f"/requests/{request_id}").json())

    def ended(self, request_id: str) -> dict[str, Any]:
        """Return a request's record when it has ended."""
        return self.until(lambda: self.record(request_id), lambda record: record["status"] in OVER)

    def events(self, request_id: str) -> list[tuple[str, str]]:
        """Return what is on record of a request, kind and detail."""
        program = (
            "import json, sys; from stager.records.database import Database\n"
            "from stager.records.events import events_of\n"
            "events = events_of(Database('sqlite:////site/records/records.db'), sys.argv[1])\n"
            "print(json.dumps([[event.kind, event.detail] for event in events]))"
        )
        return [(kind, detail) for kind, detail in json.loads(self.run('python -c "$@"', program, request_id))]

    # --- Prefect ---

    def deployment(self, flow: str) -> str | None:
        """Return the id of a flow's deployment in pods, None until it is registered."""
        answer = self.prefect.get(f"/deployments/name/{flow}/{flow}-pod")
        return str(answer.json()["id"]) if answer.is_success else None

    def flow_run(self, request_id: str) -> dict[str, Any]:
        """Return a request's flow run, when it has one."""
        record = self.until(lambda: self.record(request_id), lambda record: bool(record["flow_run_id"]))
        return dict(self.prefect.get(f"/flow_runs/{record['flow_run_id']}").json())

    def typed(self, destination: str, **variables: Any) -> str:
        """Return the id of a run that somebody types in for a pod, with job variables of their own."""
        form = {
            "method": "local_copy",
            "username": "alice",
            "items": [{"source": "a.fits", "destination": destination}],
        }
        body = {"parameters": {"request": form}, "job_variables": variables}
        answer = self.prefect.post(f"/deployments/{self.deployment('local-copy')}/create_flow_run", json=body)
        return str(answer.json()["id"])

    def state(self, run: str) -> tuple[str, str | None]:
        """Return what Prefect says of a run: its state, and the message."""
        state = self.prefect.get(f"/flow_runs/{run}").json()["state"]
        return state["type"], state["message"]

    def cancel(self, run: str) -> None:
        """Cancel a run as Prefect's pages do."""
        state = {"type": "CANCELLING", "name": "Cancelling"}
        self.prefect.post(f"/flow_runs/{run}/set_state", json={"state": state})

    @contextmanager
    def saying(self, defaults: Mapping[str, Any] = MappingProxyType({}), **more: Any) -> Iterator[None]:
        """Let the site say more of its pods, until the body ends."""
        said = self.said()
        self._register({**said, **more, "defaults": {**said["defaults"], **defaults}})
        try:
            yield
        finally:
            self._register(said)

    def said(self) -> dict[str, Any]:
        """Return what the site says of its pods."""
        return dict(yaml.safe_load(self.cluster.get("configmap", "pods")["data"]["pods.yaml"]))

    def _register(self, said: dict[str, Any]) -> None:
        template = base_job_template(SitePods.model_validate(said), namespace=self.cluster.namespace)
        answer = self.prefect.patch(POOL, json={"base_job_template": template})
        assert answer.is_success, answer.text

    # --- the cluster ---

    def jobs(self, run: str) -> list[dict[str, Any]]:
        """Return the Jobs of a flow run."""
        return list(self.cluster.get("jobs", "--selector", f"prefect.io/flow-run-id={run}")["items"])

    def pods(self, request_id: str) -> list[dict[str, Any]]:
        """Return the pods of a request's present flow run."""
        label = f"prefect.io/flow-run-id={self.flow_run(request_id)['id']}"
        return list(self.cluster.get("pods", "--selector", label)["items"])

    def pod(self, request_id: str) -> str:
        """Return the name of a request's pod, when there is one."""
        return str(self.until(lambda: self.pods(request_id), bool)[0]["metadata"]["name"])

    def copying(
        self, destination: str, *, program: str = SLOWED, lease: str = LONG, **variables: Any
    ) -> tuple[str, str]:
        """Return a request, and its pod, when it has begun to copy many files, and will for a while."""
        env = [*self.said()["env"], {"name": "STAGER_LEASE", "value": lease}]
        with self.saying({"command": f"sh -c {shlex.quote(program)}", **variables}, env=env):
            request = self.ask("many", destination)
            pod = self.pod(request)
        self.until(self.delivered, lambda found: any(name.startswith(".stager-") for name in found))
        return request, pod

    def is_cleared(self, request_id: str) -> bool:
        """Return whether nothing of a request is under way in the cluster, and nothing unfinished on the storage."""
        going = [pod for pod in self.pods(request_id) if pod["status"]["phase"] in {"Pending", "Running"}]
        return not going and not any(".stager-" in name for name in self.delivered())

    def until(self, look: Callable[[], T], holds: Callable[[T], bool]) -> T:
        """Return the first look that holds."""
        deadline = time.monotonic() + PATIENCE
        while not holds(seen := look()):
            assert time.monotonic() < deadline, seen
            time.sleep(PAUSE)
        return seen


@pytest.fixture(scope="session")
def site(cluster: Cluster, image: str) -> Iterator[Site]:
    """The site, whose user alice has a source of one file and one of many."""
    with opened(cluster, image) as site:
        site.run(SOURCES)
        yield site


@contextmanager
def opened(cluster: Cluster, image: str) -> Iterator[Site]:
    """Give a site in a namespace, with its deployments registered; what is on its storages goes at the end."""
    name = f"{cluster.namespace}-pool"
    folder = f"{FOLDERS}/{name}"
    account = ("site", secrets.token_hex(16))
    places = {"NAMESPACE": cluster.namespace, "IMAGE": image, "FOLDER": folder, "FOLDERS": FOLDERS}
    manifests = MANIFESTS.substitute(places, PASSWORD=":".join(account))
    cluster.kubectl("apply", "--filename", "-", stdin=manifests)
    cluster.kubectl("wait", "--for=condition=Ready", "pod/site", f"--timeout={PATIENCE:.0f}s")
    with forwarded(cluster, "pod/site", 8000) as http, forwarded(cluster, "pod/site", 4200, path="/api") as prefect:
        prefect.auth = account
        site = Site(cluster, folder, http, prefect)
        for flow in ("local-copy", "local-symlink", "symlink-copy"):
            site.until(partial(site.deployment, flow), bool)
        yield site
        site.run('rm -rf "/folders/$1" || rm -r "/folders/$1"', name)  # the service may have written meanwhile
