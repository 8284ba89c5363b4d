"""The chart's way to a JupyterHub: its token by reference, for the registration alone, and the network's rules."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.chart.conftest import VALUES, Manifest, Rendered, policies, reaches_address, values_on_page, variables

Render = Callable[..., Rendered]
FILES = {file.stem: file for file in VALUES}
TOKEN = "STAGER_JUPYTERHUB_TOKEN"
OWN = "staging-skao-staging-service-jupyterhub"
WHO_STAGES = {"warm-worker", "flow-run"}
IN_CLUSTER = {"namespace": "jupyterhub", "podLabels": {"app": "jupyterhub", "component": "proxy"}, "port": 8000}


@pytest.mark.parametrize(
    ("values", "secret", "key"),
    [
        ({"token": "hunter2"}, OWN, TOKEN),
        ({"existingSecret": "site-hub", "existingSecretKey": "token"}, "site-hub", "token"),
        ({"token": "hunter2", "existingSecret": "site-hub"}, "site-hub", TOKEN),
    ],
)
def test_the_registration_alone_has_the_token_by_reference(
    render: Render, values: dict[str, str], secret: str, key: str
) -> None:
    rendered = render(**{f"jupyterHub.{name}": value for name, value in values.items()})
    found = {name: variables(pod["containers"][0]) for name, pod in rendered.pods().items()}
    assert found["registration"][TOKEN] == {"secretKeyRef": {"name": secret, "key": key}}
    pods = yaml.safe_load(rendered.of("ConfigMap", "-registration")["data"]["pods.yaml"])
    assert [name for name, said in found.items() if TOKEN in said] == ["registration"]
    assert TOKEN not in variables(pods)
    made = {one["metadata"]["name"]: one["stringData"] for one in rendered if one["kind"] == "Secret"}
    assert made.get(OWN) == ({TOKEN: "hunter2"} if secret == OWN else None)
    assert "hunter2" not in json.dumps([one for one in rendered if one["kind"] != "Secret"])


def test_without_a_token_nothing_is_made_and_nothing_named(render: Render) -> None:
    rendered = render()
    assert "STAGER_JUPYTERHUB" not in json.dumps(rendered)
    assert rendered.of("ConfigMap", "-environment")["data"]["JUPYTERHUB_URL"] == "https://jupyterhub"


def test_the_registration_reads_the_authorities(render: Render) -> None:
    pod = render(FILES["production"]).pods()["registration"]
    (mount,) = [one for one in pod["containers"][0]["volumeMounts"] if one["name"] == "jupyterhub"]
    assert variables(pod["containers"][0])["STAGER_JUPYTERHUB_CA_FILE"] == f"{mount['mountPath']}/ca.crt"
    assert {"name": "jupyterhub", "configMap": {"name": "site-authorities"}} in pod["volumes"]


def egress(render: Render, **values: object) -> dict[str, list[Manifest]]:
    """Return the rules of those parts whose connections are ruled."""
    given = {f"networkPolicy.egress.{name}": value for name, value in values.items()}
    rendered = render(**{"networkPolicy.egress.enabled": True} | given)
    ruled = {part: spec for part, spec in policies(rendered).items() if "Egress" in spec["policyTypes"]}
    return {part: spec["egress"] for part, spec in ruled.items()}


def reaches_pod(rules: list[Manifest], namespace: str, labels: dict[str, str], port: int) -> bool:
    """Return whether rules of the namespace `site` lead to a pod."""

    def leads(rule: Manifest, to: Manifest) -> bool:
        if "podSelector" not in to or port not in {one["port"] for one in rule.get("ports", [{"port": port}])}:
            return False
        where = to.get("namespaceSelector", {"matchLabels": {"kubernetes.io/metadata.name": "site"}})
        is_there = where["matchLabels"] == {"kubernetes.io/metadata.name": namespace}
        return is_there and bool(to["podSelector"]["matchLabels"].items() <= labels.items())

    return any(leads(rule, to) for rule in rules for to in rule.get("to", []))


def test_connections_are_ruled_only_where_it_is_asked_for(render: Render) -> None:
    assert [spec["policyTypes"] for spec in policies(render()).values() if spec["policyTypes"] != ["Ingress"]] == []
    assert egress(render).keys() == WHO_STAGES


@pytest.mark.parametrize("part", sorted(WHO_STAGES))
def test_who_stages_reaches_a_hub_in_the_cluster_and_the_releases_own_pods_and_no_others(
    render: Render, part: str
) -> None:
    rules = egress(render, hub=IN_CLUSTER)[part]
    proxy = {**IN_CLUSTER["podLabels"], "release": "hub"}  # type: ignore[dict-item]
    ours = {"app.kubernetes.io/instance": "staging", "app.kubernetes.io/component": "mysql"}
    assert reaches_pod(rules, "jupyterhub", proxy, 8000)
    assert reaches_pod(rules, "site", ours, 3306)
    assert {53} == {port["port"] for rule in rules if "to" not in rule for port in rule["ports"]}
    assert not reaches_pod(rules, "jupyterhub", proxy, 8001)
    assert not reaches_pod(rules, "site", proxy, 8000)
    assert not reaches_pod(rules, "jupyterhub", {"app": "jupyterhub", "component": "hub"}, 8000)
    assert not reaches_address(rules, "192.0.2.10", 443)


def test_a_hub_in_the_releases_own_namespace_needs_no_namespace(render: Render) -> None:
    rules = egress(render, hub=IN_CLUSTER | {"namespace": ""})["flow-run"]
    assert reaches_pod(rules, "site", {"app": "jupyterhub", "component": "proxy"}, 8000)


def test_who_stages_reaches_a_hub_and_what_else_is_outside(render: Render) -> None:
    specs = policies(render(FILES["claims"]))
    for part in WHO_STAGES:
        rules = specs[part]["egress"]
        assert reaches_address(rules, "192.0.2.10", 443)
        assert reaches_address(rules, "198.51.100.20", 3306)
        assert not reaches_address(rules, "192.0.2.10", 80)
        assert not reaches_address(rules, "192.0.2.11", 443)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"networkPolicy.egress.hub": IN_CLUSTER | {"cidr": "192.0.2.10/32"}}, "give either cidr, or namespace"),
        ({"networkPolicy.egress.hub": {"cidr": "192.0.2.10/32"}}, "at which port is the hub reached"),
        ({"networkPolicy.egress.hub.port": 99999}, "maximum"),
        ({"mysql.enabled": False, "externalDatabase.existingSecret": "records"}, "who stages could not reach it"),
        ({"prefect.server.enabled": False, "prefect.apiUrl": "https://p"}, "who stages could not reach it"),
    ],
)
def test_rules_that_would_cut_stagings_off_are_refused(
    template: Callable[..., subprocess.CompletedProcess[str]], values: dict[str, object], words: str
) -> None:
    done = template(**{"networkPolicy.egress.enabled": True} | values)
    assert done.returncode != 0
    assert words in done.stderr


def test_the_manuals_values_are_the_charts(render: Render, tmp_path: Path) -> None:
    rendered = render(values_on_page("notebooks.md", tmp_path))
    assert rendered.of("ConfigMap", "-environment")["data"]["JUPYTERHUB_URL"] == "https://hub.example.org"
    rules = policies(rendered)["warm-worker"]["egress"]
    assert reaches_pod(rules, "jupyterhub", {"app": "jupyterhub", "component": "proxy"}, 8000)
