"""Registration: pools, template and deployments, by one command that may be repeated."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prefect.settings import get_current_settings
from prefect.testing.utilities import prefect_test_harness

from deployments.pods import ROOT_MAY, Pods, base_job_template, read_pods
from stager.errors import ConfigurationError

CHECKOUT = Path(__file__).parents[2]
SITE: dict[str, Any] = {
    "defaults": {"image": "registry.example.org/staging:1", "memory_limit": "2Gi", "node_selector": {"disk": "fast"}},
    "env": [{"name": "STAGER_DATABASE_URL", "valueFrom": {"secretKeyRef": {"name": "records", "key": "url"}}}],
    "volumes": [{"name": "source", "hostPath": {"path": "/data", "type": "Directory"}}],
    "volume_mounts": [{"name": "source", "mountPath": "/data", "readOnly": True}],
}


@pytest.fixture(scope="module")
def prefect_api() -> Iterator[str]:
    with prefect_test_harness(server_startup_timeout=120):
        yield str(get_current_settings().api.url)


def register(prefect_api: str, folder: Path, **settings: str) -> str:
    environment = {**os.environ, "PREFECT_API_URL": prefect_api, "PREFECT_HOME": str(folder), **settings}
    command = [sys.executable, "-m", "deployments.register"]
    done = subprocess.run(
        command, check=False, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def registered(prefect_api: str) -> dict[str, list[dict[str, Any]]]:
    """All that registration writes; not when it was last said."""
    kinds = ("work_pools", "deployments", "flows", "block_documents")
    answers = {kind: httpx.post(f"{prefect_api}/{kind}/filter", json={}, timeout=60) for kind in kinds}
    return {kind: answer.json(object_hook=untimed) for kind, answer in answers.items()}


def untimed(one: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in one.items() if name != "updated"}


def job(template: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    pod = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    return pod, pod["containers"][0]


def test_registering_twice_changes_nothing(prefect_api: str, tmp_path: Path) -> None:
    file = tmp_path / "pods.yaml"
    file.write_text(yaml.safe_dump(SITE))
    settings = {"STAGER_PODS_NAMESPACE": "staging", "STAGER_PODS_FILE": str(file)}
    register(prefect_api, tmp_path)
    assert {one["work_pool_name"] for one in registered(prefect_api)["deployments"]} == {"staging"}
    register(prefect_api, tmp_path, **settings)
    first = registered(prefect_api)
    register(prefect_api, tmp_path, **settings)
    assert registered(prefect_api) == first
    assert {pool["name"]: pool["type"] for pool in first["work_pools"]} == {
        "staging": "warm",
        "staging-kubernetes": "kubernetes",
    }
    assert {one["work_pool_name"] for one in first["deployments"]} == {"staging", "staging-kubernetes"}


def test_what_the_site_says_is_in_the_template() -> None:
    template = base_job_template(Pods.model_validate(SITE), namespace="staging")
    variables = template["variables"]["properties"]
    pod, container = job(template)
    assert {name: variables[name]["default"] for name in SITE["defaults"]} == SITE["defaults"]
    assert variables["namespace"]["default"] == "staging"
    assert SITE["env"][0] in container["env"]
    assert SITE["volumes"][0] in pod["volumes"]
    assert SITE["volume_mounts"][0] in container["volumeMounts"]


@pytest.mark.parametrize("acts_as", ["user", "root"])
def test_a_pod_may_do_no_more_than_it_needs(acts_as: str) -> None:
    pod, container = job(base_job_template(Pods.model_validate({**SITE, "acts_as": acts_as}), namespace="staging"))
    security = container["securityContext"]
    assert security["capabilities"].pop("drop") == ["ALL"]
    assert security["capabilities"] == ({"add": ROOT_MAY} if acts_as == "root" else {})
    assert (security["allowPrivilegeEscalation"], security["readOnlyRootFilesystem"]) == (False, True)
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["securityContext"]["runAsNonRoot"] is (acts_as == "user")
    assert pod["automountServiceAccountToken"] is False


@pytest.mark.parametrize(
    "wrong", [{"volumes": []}, {"defaults": {"image": "x"}, "privileged": True}, {"defaults": {"imgae": "x"}}]
)
def test_a_file_that_says_what_is_not_known_is_refused(wrong: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "pods.yaml"
    file.write_text(yaml.safe_dump(wrong))
    with pytest.raises(ConfigurationError):
        base_job_template(read_pods(file), namespace="staging")
