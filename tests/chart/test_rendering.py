"""What the chart makes of the values files, without a cluster."""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from stager.identity import resolve
from stager.settings import Settings, get_settings
from tests.chart.conftest import CHART, KUBERNETES, VALUES, Helm, Rendered

Render = Callable[..., Rendered]
Template = Callable[..., subprocess.CompletedProcess[str]]
DEMO = next(file for file in VALUES if file.stem == "demo")
# Of operators that come with their own kinds.
FOREIGN = {"ServiceMonitor", "PrometheusRule"}
# Of deployments/prefect_server alone.
PREFECTS_OWN = {"STAGER_PREFECT_HOSTS"}


def test_helm_lint_finds_nothing(helm: Helm, values_file: Path) -> None:
    done = helm("lint", "--strict", "--kube-version", KUBERNETES, str(CHART), "--values", str(values_file))
    assert done.returncode == 0, done.stdout


def test_every_manifest_is_valid_kubernetes(render: Render, values_file: Path) -> None:
    known = [manifest for manifest in render(values_file) if manifest["kind"] not in FOREIGN]
    assert known
    for manifest in known:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def test_the_demos_values_are_the_defaults(render: Render) -> None:
    assert without_secrets(render(DEMO)) == without_secrets(render())


def without_secrets(rendered: Rendered) -> list[dict[str, Any]]:
    return [manifest for manifest in rendered if manifest["kind"] != "Secret"]


def service_environment(rendered: Rendered) -> dict[str, str]:
    """Return the plain variables of the service's pods."""
    return dict(rendered.of("ConfigMap", "-environment")["data"])


def test_the_environment_loads_back_into_the_settings(
    render: Render, values_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = yaml.safe_load(values_file.read_text())
    environment = service_environment(render(values_file))
    for name in [name for name in os.environ if name.startswith("STAGER_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    settings = Settings()
    storage = values["storage"]["source"]
    path = {"local": "/mnt/storage_a", "nfs": "/mnt/source-nfs", "ceph": "/mnt/source-ceph", "pvc": "/mnt/source"}
    kind = storage["type"]
    assert settings.source_storage_path == Path(storage.get(kind, {}).get("path", path[kind]))
    assert settings.model_fields_set == {name for name in Settings.model_fields if variable(name) in environment}


def variable(name: str) -> str:
    alias = Settings.model_fields[name].validation_alias
    return str(getattr(alias, "choices", [f"STAGER_{name.upper()}"])[0])


def test_every_variable_of_ours_is_a_setting(render: Render, values_file: Path) -> None:
    known = {variable(name) for name in Settings.model_fields} | PREFECTS_OWN
    rendered = render(values_file)
    named = set(service_environment(rendered))
    for pod in rendered.pods().values():
        named |= {one["name"] for container in pod["containers"] for one in container.get("env", [])}
    ours = {name for name in named if name.startswith("STAGER_")}
    assert "STAGER_DATABASE_URL" in ours
    assert ours - known == set()


def test_every_pod_is_confined(render: Render, values_file: Path) -> None:
    pods = render(values_file).pods()
    assert pods.keys() >= {"api", "warm-worker"}
    for name, pod in pods.items():
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"], name
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["capabilities"]["drop"] == ["ALL"], name
            assert pod["securityContext"].get("runAsNonRoot") or name in {"warm-worker", "test"}, name


def test_only_what_must_may_ask_the_cluster(render: Render, values_file: Path) -> None:
    pods = render(values_file).pods()
    asking = {name for name, pod in pods.items() if pod.get("automountServiceAccountToken", True)}
    assert asking == {"kubernetes-worker", "api"}


def test_without_pods_of_their_own_nothing_asks_the_cluster(render: Render) -> None:
    rendered = render(**{"kubernetesWorker.enabled": False})
    pods = rendered.pods()
    assert pods.keys() >= {"api", "warm-worker"}
    assert not [name for name, pod in pods.items() if pod.get("automountServiceAccountToken", True)]
    assert not [one for one in rendered if one["kind"] == "Role"]


def test_the_source_is_read_only_where_stagings_run(render: Render, values_file: Path) -> None:
    mounted = {
        (name, mount.get("readOnly"))
        for name, pod in render(values_file).pods().items()
        for container in pod["containers"]
        for mount in container["volumeMounts"]
        if mount["name"] == "source" and name != "test"
    }
    assert mounted == {("api", True), ("warm-worker", True)}


def test_no_secret_stands_outside_a_secret(render: Render) -> None:
    values = {"mysql.auth.password": "hunter2hunter2", "mysql.auth.rootPassword": "hunter3hunter3"}
    rendered = render(DEMO, **values)
    assert "hunter" in json.dumps(rendered)
    assert "hunter" not in json.dumps(without_secrets(rendered))


def test_a_password_with_any_character_is_quoted_in_the_url(render: Render) -> None:
    file = next(file for file in VALUES if file.stem == "production")
    secret = render(file).of("Secret", "-mysql")["stringData"]
    address = "staging-skao-staging-service-mysql/staging"
    assert secret["STAGER_DATABASE_URL"] == f"mysql+pymysql://staging:p%40ss%20w%2Frd@{address}"


def test_users_become_the_file_that_the_service_reads(render: Render, tmp_path: Path) -> None:
    file = next(file for file in VALUES if file.stem == "production")
    users = tmp_path / "users.toml"
    users.write_text(render(file).of("ConfigMap", "-users")["data"]["users.toml"])
    assert set(tomllib.loads(users.read_text())["users"]) == {"alice", "bob@SITE.ORG", "staging-test"}
    alice = resolve("alice", users_file=users)
    assert (alice.uid, alice.gid, alice.groups) == (70001, 70002, (70002, 70003))


@pytest.mark.parametrize("part", ["api", "warmWorker"])
def test_an_account_that_is_not_given_is_never_root(render: Render, part: str) -> None:
    rendered = render(**{f"{part}.runAsUser": None, f"{part}.runAsGroup": None})
    context = rendered.pods()[{"api": "api", "warmWorker": "warm-worker"}[part]]["securityContext"]
    assert not {"runAsUser", "runAsGroup", "fsGroup"} & context.keys()


@pytest.mark.parametrize("key", ["tests.uid", "tests.gid"])
def test_an_account_that_has_to_be_given_is_asked_for(template: Template, key: str) -> None:
    assert f"missing property '{key.removeprefix('tests.')}'" in template(**{key: None}).stderr
