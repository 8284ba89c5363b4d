"""Secrets of the databases, made once and never changed behind a database's back; and the key of users' secrets."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr

from deployments.job_template import base_job_template, read_pods
from stager.user_secrets import SecretKeys
from tests.chart.conftest import CHART, VALUES, Helm, Manifest, Rendered, name_of

Render = Callable[..., Rendered]
PRODUCTION = next(file for file in VALUES if file.stem == "production")
ELSEWHERE = {"mysql.enabled": False, "externalDatabase.url": "mysql+pymysql://staging:new@db.example.org/staging"}


@pytest.fixture(scope="module")
def settle(helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The password that the chart goes on with, of what the cluster has and what the values say."""
    chart = tmp_path_factory.mktemp("settle")
    (chart / "Chart.yaml").write_text("{apiVersion: v2, name: settle, version: 0.1.0}")
    (chart / "templates").mkdir()
    shutil.copy(CHART / "templates" / "_secrets.tpl", chart / "templates")
    call = '(list .Values.known .Values.given "mysql.auth.password" "staging-mysql")'
    (chart / "templates" / "password.yaml").write_text(f'password: {{{{ include "staging.settledPassword" {call} }}}}')

    def run(known: str, given: str) -> subprocess.CompletedProcess[str]:
        return helm("template", str(chart), "--set-string", f"known={known},given={given}")

    return run


@pytest.mark.parametrize(("known", "given", "settled"), [("old", "", "old"), ("old", "old", "old"), ("", "new", "new")])
def test_what_the_cluster_has_counts_and_then_what_is_given(
    settle: Callable[..., subprocess.CompletedProcess[str]], known: str, given: str, settled: str
) -> None:
    assert yaml.safe_load(settle(known, given).stdout) == {"password": settled}


def test_a_password_that_the_database_does_not_know_is_refused(
    settle: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = settle("hunter2", "hunter3")
    assert done.returncode != 0
    assert "mysql.auth.password: the Secret staging-mysql holds another password" in done.stderr
    assert "ALTER USER" in done.stderr
    assert "hunter" not in done.stderr


def records_url(rendered: Rendered) -> tuple[Manifest, Manifest]:
    """Return the variable by which the migration knows its database, and the Secret that the variable names."""
    (variable,) = [
        one for one in rendered.pods()["migration"]["containers"][0]["env"] if one["name"] == "STAGER_DATABASE_URL"
    ]
    reference = variable["valueFrom"]["secretKeyRef"]
    (secret,) = [one for one in rendered if one["kind"] == "Secret" and one["metadata"]["name"] == reference["name"]]
    return reference, secret


@pytest.mark.parametrize("values", [{}, ELSEWHERE], ids=["mysql", "elsewhere"])
def test_an_upgrade_migrates_the_database_that_it_leads_to(render: Render, values: dict[str, object]) -> None:
    rendered = render(PRODUCTION, "--is-upgrade", **values)
    reference, secret = records_url(rendered)
    annotations = secret["metadata"]["annotations"]
    assert annotations["helm.sh/hook"] == "pre-upgrade"
    assert int(annotations["helm.sh/hook-weight"]) < 0
    (own,) = [one for one in rendered if one["kind"] == "Secret" and name_of(one) in {"mysql", "database"}]
    assert secret["stringData"] == {reference["key"]: own["stringData"][reference["key"]]}


def test_a_first_install_migrates_with_the_secret_of_the_release(render: Render) -> None:
    _, secret = records_url(render(PRODUCTION))
    assert name_of(secret) == "mysql"


def holders_of_the_key(rendered: Rendered, folder: Path) -> dict[str, str]:
    """Return which pods have the key of users' secrets, and by which Secret; `run` is a flow run's."""
    file = folder / "pods.yaml"
    file.write_text(rendered.of("ConfigMap", "-registration")["data"]["pods.yaml"])
    manifest = base_job_template(read_pods(file), namespace="site")["job_configuration"]["job_manifest"]
    pods = {**rendered.pods(), "run": manifest["spec"]["template"]["spec"]}
    return {
        name: one["valueFrom"]["secretKeyRef"]["name"]
        for name, pod in pods.items()
        for container in pod["containers"]
        for one in container.get("env", [])
        if one["name"] == "STAGER_SECRET_KEY"
    }


def test_a_key_of_users_secrets_is_made_for_whoever_takes_or_uses_them_and_for_no_other(
    render: Render, values_file: Path, tmp_path: Path
) -> None:
    rendered = render(values_file, **{"dispatcher.separate": True})
    secret = rendered.of("Secret", "-secret-key")
    SecretKeys(SecretStr(secret["stringData"]["STAGER_SECRET_KEY"])).take(SecretStr("a")).sealed_for("b")
    assert secret["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    holders = holders_of_the_key(rendered, tmp_path)
    assert holders == dict.fromkeys(["api", "warm-worker", "run"], "staging-skao-staging-service-secret-key")


def test_each_installation_has_a_key_of_its_own(render: Render) -> None:
    one, two = (render().of("Secret", "-secret-key")["stringData"] for _ in range(2))
    assert one != two


def test_a_key_that_is_there_is_taken(render: Render, tmp_path: Path) -> None:
    rendered = render(**{"userSecrets.existingSecret": "site-key"})
    assert set(holders_of_the_key(rendered, tmp_path).values()) == {"site-key"}
    assert not [one for one in rendered if one["kind"] == "Secret" and name_of(one) == "secret-key"]


def test_the_key_is_no_plain_setting(template: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    assert "STAGER_SECRET_KEY" in template(**{"config.settings": {"STAGER_SECRET_KEY": "a"}}).stderr
