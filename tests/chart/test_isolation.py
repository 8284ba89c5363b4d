"""The pod that is the user from its first instruction: docs/decisions/0009 says why it needs to be like this."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deployments.job_template import base_job_template, read_pods
from tests.chart.conftest import Manifest, Rendered

Render = Callable[..., Rendered]


@pytest.fixture
def pod(render: Render, values_file: Path, tmp_path: Path) -> Manifest:
    """The pod of a flow run that is the user, as the work pool's template has it."""
    file = tmp_path / "pods.yaml"
    rendered = render(values_file, **{"flowRuns.actsAs": "user"})
    file.write_text(rendered.of("ConfigMap", "-registration")["data"]["pods.yaml"])
    template = base_job_template(read_pods(file), namespace="site")
    spec: Manifest = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    return spec


def test_a_pod_that_is_the_user_sees_no_process_but_its_own(pod: Manifest) -> None:
    assert not {"hostPID", "hostIPC", "hostNetwork", "shareProcessNamespace"} & pod.keys()
    assert len(pod["containers"]) == 1
    assert not pod.get("initContainers")


def test_a_pod_that_is_the_user_gains_no_right(pod: Manifest) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == "{{ run_as_user }}"
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_a_pod_that_is_the_user_asks_the_cluster_for_nothing(render: Render, pod: Manifest) -> None:
    assert pod["automountServiceAccountToken"] is False
    bound = [one["name"] for role in render() if role["kind"] == "RoleBinding" for one in role["subjects"]]
    assert not [name for name in bound if name.endswith("-flow-run")]


def test_nobody_of_the_release_may_run_a_program_in_another_pod(render: Render) -> None:
    roles = [rule for role in render() if role["kind"] == "Role" for rule in role["rules"]]
    assert not {what for rule in roles for what in rule["resources"]} & {"pods/exec", "pods/attach", "*"}


def test_a_pod_that_is_the_user_has_its_secrets_by_reference(pod: Manifest) -> None:
    def is_reference(variable: dict[str, Any]) -> bool:
        return "secretKeyRef" in variable.get("valueFrom", {})

    env = {one["name"]: one for one in pod["containers"][0]["env"]}
    assert is_reference(env["STAGER_DATABASE_URL"])
    assert "PREFECT_API_AUTH_STRING" not in env or is_reference(env["PREFECT_API_AUTH_STRING"])
