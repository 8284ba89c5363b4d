"""The pool's worker makes pods for the flows that are installed here, and none for anything else.

The cluster is its API alone, which takes Jobs and runs none.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from deployments.job_template import SitePods, base_job_template

if TYPE_CHECKING:
    from tests.workers.conftest import Pool, Prefect

pytestmark = pytest.mark.stack

SITE: dict[str, Any] = {
    "defaults": {"image": "ours:1", "service_account_name": "runs", "labels": {"of": "site"}},
    "env": [{"name": "STAGER_USERS_FILE", "value": "/etc/users.toml"}],
}
SHELL = {"prefect.deployments.steps.run_shell_script": {"script": "id"}}
FOREIGN: dict[str, dict[str, Any]] = {
    "another file": {"entrypoint": "/tmp/theirs.py:theirs"},
    "another module": {"entrypoint": "os.system"},
    "a function that is no flow": {"entrypoint": "sample_flows.no_flow"},
    "pull steps": {"pull_steps": [SHELL]},
}
# Whatever Prefect's own template has a name for, and ours does not let a run say.
REFUSED: dict[str, Any] = {
    "command": "id",
    "env": {"STAGER_USERS_FILE": "/tmp/mine.toml"},
    "env.STAGER_MUST_OWN": "false",
    "image": "theirs:1",
    "image_pull_policy": "Always",
    "service_account_name": "default",
    "namespace": "kube-system",
    "labels": {"prefect.io/flow-run-id": "another's"},
    "annotations": {"a": "b"},
    "name": "another",
    "cluster_config": {},
    "run_as_user": 0,
    "run_as_group": 999,
    "supplemental_groups": [0],
}
ASKED_FOR = {"run_as_user": 70001, "run_as_group": 70002, "supplemental_groups": [70003], "memory_limit": "3Gi"}


@contextmanager
def cluster() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Give the address of a cluster's API, and the Jobs that it is given."""
    jobs: list[dict[str, Any]] = []

    class Api(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            jobs.append(job)
            job["metadata"]["name"] = job["metadata"]["generateName"] + str(len(jobs))
            self._answer(201, job)

        def do_GET(self) -> None:
            self._answer(404, {})

        def _answer(self, status: int, body: dict[str, Any]) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", jobs
        server.shutdown()


@pytest.fixture
def pods(prefect_server: Prefect, pool: Pool) -> Pool:
    """A pool of pods with the template that registration gives it."""
    prefect_server.ask("DELETE", f"/work_pools/{pool.name}")
    template = base_job_template(SitePods.model_validate(SITE), namespace="staging", least_id=1000)
    prefect_server.ask("POST", "/work_pools/", name=pool.name, type="kubernetes", base_job_template=template)
    return pool


@contextmanager
def worker(pool: Pool, api: str, folder: Path) -> Iterator[None]:
    """Run the pool's worker until the end of the block."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": api}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(config))
    settings = {
        "KUBECONFIG": str(folder / "kubeconfig"),
        "PREFECT_INTEGRATIONS_KUBERNETES_OBSERVER_ENABLED": "false",
    }
    with pool.worker(command=("-m", "sample_pods"), kind="kubernetes", **settings):
        yield


def test_a_pod_is_made_as_the_site_says_and_told_its_flow(pods: Pool, tmp_path: Path) -> None:
    with cluster() as (api, jobs), worker(pods, api, tmp_path):
        pods.run(pods.deploy("look"), job_variables=ASKED_FOR)
        pods.eventually(lambda: jobs)
    (job,) = jobs
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    env = {one["name"]: one.get("value") for one in container["env"]}
    assert (env["PREFECT__FLOW_ENTRYPOINT"], env["STAGER_USERS_FILE"]) == ("sample_flows.look", "/etc/users.toml")
    assert (container["image"], container["args"]) == ("ours:1", ["python", "-m", "prefect.engine"])
    assert (pod["serviceAccountName"], job["metadata"]["labels"]["of"]) == ("runs", "site")
    assert pod["securityContext"]["runAsUser"] == ASKED_FOR["run_as_user"]
    assert container["resources"]["limits"]["memory"] == ASKED_FOR["memory_limit"]


def test_a_deployment_that_is_not_of_a_flow_installed_here_gets_no_pod(pods: Pool, tmp_path: Path) -> None:
    foreign = {name: pods.deploy("look", name=name, **said) for name, said in FOREIGN.items()}
    with cluster() as (api, jobs), worker(pods, api, tmp_path):
        ended = {name: pods.ended(pods.run(deployment)) for name, deployment in foreign.items()}
    assert {state["type"] for state in ended.values()} == {"CRASHED"}
    assert "has pull steps" in ended.pop("pull steps")["message"]
    assert all("not one of the installed flows" in state["message"] for state in ended.values()), ended
    assert jobs == []


@pytest.mark.parametrize("name", REFUSED)
def test_prefect_refuses_a_run_or_a_deployment_that_says_more_than_resources_and_placement(
    pods: Pool, name: str
) -> None:
    look, said = pods.deploy("look"), {name: REFUSED[name]}
    with pytest.raises(httpx.HTTPStatusError, match="422"):
        pods.run(look, job_variables=said)
    with pytest.raises(httpx.HTTPStatusError, match="422"):
        pods.deploy("hold", job_variables=said)
