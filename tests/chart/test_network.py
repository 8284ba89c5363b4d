"""Network policies: whom they let in, computed as a network does that keeps them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.chart.conftest import Manifest, Rendered, name_of

Render = Callable[..., Rendered]
Labels = dict[str, str]
# With everything that the chart can run.
EVERYTHING: dict[str, Any] = {
    "prefect.database.type": "postgresql",
    "nginx.enabled": True,
    "auth.existingSecret": "site-access",
    "dispatcher.separate": True,
}
STRANGER = {"app.kubernetes.io/name": "notebook", "app.kubernetes.io/instance": "hub"}
ASKERS = {
    "api": {"prefect", "mysql"},
    "warm-worker": {"prefect", "mysql"},
    "flow-run": {"prefect", "mysql"},
    "kubernetes-worker": {"prefect"},
    "dispatcher": {"prefect", "mysql"},
    "migration": {"mysql"},
    "registration": {"prefect"},
    "prefect": {"postgresql"},
    "test": {"api", "mysql"},
}


def labels_of_pods(rendered: Rendered) -> dict[str, Labels]:
    """Return the labels of each kind of pod, those that Prefect's worker makes too."""
    templates = [one["spec"]["template"] | {"kind": "Pod"} for one in rendered if "template" in one.get("spec", {})]
    found = {name_of(one): one["metadata"]["labels"] for one in [*templates, *rendered] if one["kind"] == "Pod"}
    pods = yaml.safe_load(rendered.of("ConfigMap", "-registration")["data"]["pods.yaml"])
    return found | {"flow-run": pods["defaults"]["labels"]}


def policies(rendered: Rendered) -> dict[str, Manifest]:
    return {name_of(one): one["spec"] for one in rendered if one["kind"] == "NetworkPolicy"}


def selects(selector: Manifest, labels: Labels) -> bool:
    assert selector.keys() == {"matchLabels"}
    return bool(selector["matchLabels"].items() <= labels.items())


def lets_in(policy: Manifest, labels: Labels, port: int) -> bool:
    """Return whether a policy lets a pod of its own namespace in."""
    for rule in policy["ingress"]:
        peers = [peer["podSelector"] for peer in rule.get("from", []) if peer.keys() == {"podSelector"}]
        if port in {one["port"] for one in rule["ports"]}:
            return "from" not in rule or any(selects(peer, labels) for peer in peers)
    return False


def ports_of(pod: Manifest) -> set[int]:
    """Return the ports that a pod is asked at; the kubelet, which asks after its health, is let in by every network."""
    ports = [port for container in pod["containers"] for port in container.get("ports", [])]
    return {port["containerPort"] for port in ports if port["name"] != "health"}


def test_each_policy_is_for_one_part_and_opens_the_ports_of_its_containers(render: Render) -> None:
    rendered = render(**EVERYTHING)
    labels, pods = labels_of_pods(rendered), rendered.pods()
    for part, policy in policies(rendered).items():
        assert {name for name, of_pod in labels.items() if selects(policy["podSelector"], of_pod)} == {part}
        opened = {port["port"] for rule in policy["ingress"] for port in rule["ports"]}
        assert opened == (ports_of(pods[part]) if part in pods else set()), part
    asked = {name for name, pod in pods.items() if ports_of(pod)}
    assert asked
    assert asked <= policies(rendered).keys()


@pytest.mark.parametrize("asker", ASKERS)
def test_who_asks_is_let_in(render: Render, asker: str) -> None:
    rendered = render(**EVERYTHING)
    labels = labels_of_pods(rendered)[asker]
    for part in ASKERS[asker]:
        (port,) = ports_of(rendered.pods()[part])
        assert lets_in(policies(rendered)[part], labels, port), part


def test_a_stranger_is_let_in_to_the_api_alone(render: Render) -> None:
    rendered = render(**EVERYTHING)
    pods = rendered.pods()
    asked = {part: policy for part, policy in policies(rendered).items() if part in pods}
    answering = {
        part for part, policy in asked.items() if any(lets_in(policy, STRANGER, port) for port in ports_of(pods[part]))
    }
    assert answering == {"api"}


def test_every_pod_of_the_release_is_one_of_the_askers(render: Render) -> None:
    rendered = render(**EVERYTHING)
    assert labels_of_pods(rendered).keys() - {"mysql", "postgresql"} == ASKERS.keys()
