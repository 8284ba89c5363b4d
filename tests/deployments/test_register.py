"""Registration: pools, template and deployments, by one command that may be repeated."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path
from typing import Any
from uuid import uuid4

import kubernetes_validate
import prefect_kubernetes
import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

from deployments.job_template import ROOT_MAY, SitePods, base_job_template, read_pods
from stager.errors import ConfigurationError
from tests.ask_prefect import ask_prefect
from tests.deployments.run_module import run_module

CHECKOUT = Path(__file__).parents[2]
SITE: dict[str, Any] = {
    "defaults": {"image": "registry.example.org/staging:1", "memory_limit": "2Gi", "node_selector": {"disk": "fast"}},
    "env": [{"name": "STAGER_DATABASE_URL", "valueFrom": {"secretKeyRef": {"name": "records", "key": "url"}}}],
    "volumes": [{"name": "source", "hostPath": {"path": "/data", "type": "Directory"}}],
    "volume_mounts": [{"name": "source", "mountPath": "/data", "readOnly": True}],
}


def register(prefect_api: str, folder: Path, **settings: str) -> str:
    done = run_module(prefect_api, folder, "deployments.register", **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def registered(prefect_api: str) -> dict[str, list[dict[str, Any]]]:
    """All that registration writes; not when it was last said."""
    kinds = ("work_pools", "deployments", "flows", "block_documents")
    return {kind: untimed(ask_prefect("POST", f"{prefect_api}/{kind}/filter", {})) for kind in kinds}


def untimed(answer: Any) -> Any:
    """Return an answer without the times of its last changes, at any depth."""
    if isinstance(answer, list):
        return [untimed(one) for one in answer]
    if not isinstance(answer, dict):
        return answer
    return {name: untimed(value) for name, value in answer.items() if name != "updated"}


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
    template = base_job_template(SitePods.model_validate(SITE), namespace="staging")
    variables = template["variables"]["properties"]
    pod, container = job(template)
    asked_for = {name: variables[name]["default"] for name in ("memory_limit", "node_selector")}
    assert asked_for == {name: SITE["defaults"][name] for name in asked_for}
    assert (container["image"], template["job_configuration"]["namespace"]) == (SITE["defaults"]["image"], "staging")
    assert SITE["env"][0] in container["env"]
    assert SITE["volumes"][0] in pod["volumes"]
    assert SITE["volume_mounts"][0] in container["volumeMounts"]


def job_of_a_run(template: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
    """Return the Job that Prefect's worker would make."""

    async def configured() -> KubernetesWorkerJobConfiguration:
        async with get_client() as client:
            return await KubernetesWorkerJobConfiguration.from_template_and_values(template, variables, client=client)

    configuration = asyncio.run(configured())
    configuration.prepare_for_flow_run(FlowRun(flow_id=uuid4(), name="quick-otter"))
    return dict(configuration.job_manifest)


ASKED_FOR = {
    "run_as_user": 70001,
    "run_as_group": 70002,
    "supplemental_groups": [70003],
    "node_selector": {"disk": "fast"},
    "tolerations": [{"key": "dtn", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    "priority_class_name": "batch",
    "active_deadline_seconds": 7200,
    "ttl_seconds_after_finished": 0,
}


@pytest.mark.usefixtures("prefect_api")
@pytest.mark.parametrize("acts_as", ["user", "root"])
@pytest.mark.parametrize("variables", [{}, ASKED_FOR], ids=["defaults", "asked for"])
def test_the_job_of_a_run_is_valid_kubernetes(variables: dict[str, Any], acts_as: str) -> None:
    template = base_job_template(SitePods.model_validate({**SITE, "acts_as": acts_as}), namespace="staging")
    manifest = job_of_a_run(template, variables)
    pod = manifest["spec"]["template"]["spec"]
    # Prefect takes no Job without these two in its pod; Kubernetes drops them there.
    assert (pod.pop("parallelism"), pod.pop("completions")) == (1, 1)
    kubernetes_validate.validate(manifest, "1.34", strict=True)


@pytest.mark.usefixtures("prefect_api")
def test_the_job_of_a_run_is_what_its_variables_say() -> None:
    spec = job_of_a_run(base_job_template(SitePods.model_validate(SITE), namespace="staging"), ASKED_FOR)["spec"]
    pod = spec["template"]["spec"]
    security = pod["securityContext"]
    assert {
        "run_as_user": security["runAsUser"],
        "run_as_group": security["runAsGroup"],
        "supplemental_groups": security["supplementalGroups"],
        "node_selector": pod["nodeSelector"],
        "tolerations": pod["tolerations"],
        "affinity": pod["affinity"],
        "priority_class_name": pod["priorityClassName"],
        "active_deadline_seconds": spec["activeDeadlineSeconds"],
        "ttl_seconds_after_finished": spec["ttlSecondsAfterFinished"],
    } == ASKED_FOR
    assert pod["containers"][0]["args"] == ["python", "-m", "prefect.engine"]


@pytest.mark.prefect_internals
def test_no_worker_waits_for_the_start_of_a_pod() -> None:
    """As the template says of its variable ``pod_watch_timeout_seconds``."""
    source = inspect.getsource(prefect_kubernetes.worker)
    assert "pod_watch_timeout_seconds" in source
    assert ".pod_watch_timeout_seconds" not in source


@pytest.mark.parametrize(("least_id", "least"), [(0, [1, 0, 0]), (500, [500, 500, 500])])
def test_no_run_may_ask_for_the_account_of_root_or_for_one_of_the_systems(least_id: int, least: list[int]) -> None:
    template = base_job_template(SitePods.model_validate(SITE), namespace="staging", least_id=least_id)
    said = template["variables"]["properties"]
    schemas = [said["run_as_user"]["anyOf"][0], said["run_as_group"]["anyOf"][0], said["supplemental_groups"]["items"]]
    assert [schema["minimum"] for schema in schemas] == least


def test_a_run_may_say_only_which_resources_and_place_it_needs_and_whose_account() -> None:
    variables = base_job_template(SitePods.model_validate(SITE), namespace="staging")["variables"]
    assert variables["additionalProperties"] is False
    assert variables["properties"].keys() == ASKED_FOR.keys() | {
        "cpu_request",
        "cpu_limit",
        "memory_request",
        "memory_limit",
    }


@pytest.mark.parametrize("acts_as", ["user", "root"])
def test_a_pod_may_do_no_more_than_it_needs(acts_as: str) -> None:
    pod, container = job(base_job_template(SitePods.model_validate({**SITE, "acts_as": acts_as}), namespace="staging"))
    security = container["securityContext"]
    assert security["capabilities"].pop("drop") == ["ALL"]
    assert security["capabilities"] == ({"add": ROOT_MAY} if acts_as == "root" else {})
    assert (security["allowPrivilegeEscalation"], security["readOnlyRootFilesystem"]) == (False, True)
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["securityContext"]["runAsNonRoot"] is (acts_as == "user")
    assert pod["automountServiceAccountToken"] is False


@pytest.mark.parametrize(
    "wrong",
    [{"volumes": []}, {"defaults": {"image": "x"}, "privileged": True}, {"defaults": {"imgae": "x"}}, {"defaults": {}}],
)
def test_a_file_that_says_what_is_not_known_is_refused(wrong: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "pods.yaml"
    file.write_text(yaml.safe_dump(wrong))
    with pytest.raises(ConfigurationError):
        base_job_template(read_pods(file), namespace="staging")
