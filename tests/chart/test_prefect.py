"""Prefect is behind a lock: one password, which whoever asks it has by reference, and the names it answers to."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.chart.conftest import VALUES, Rendered

Render = Callable[..., Rendered]
FILES = {file.stem: file for file in VALUES}
PASSWORD = "PREFECT_API_AUTH_STRING"
OWN = "staging-skao-staging-service-prefect"
ASKERS = {"api", "warm-worker", "kubernetes-worker", "registration"}


def references(container: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Return the Secret and the key of each variable that is in one."""
    by_reference = {one["name"]: one["valueFrom"] for one in container["env"] if "valueFrom" in one}
    secrets = {name: said["secretKeyRef"] for name, said in by_reference.items() if "secretKeyRef" in said}
    return {name: (said["name"], said["key"]) for name, said in secrets.items()}


@pytest.mark.parametrize(("given", "secret"), [("", OWN), ("site-prefect", "site-prefect")])
def test_the_server_and_whoever_asks_it_have_one_password(render: Render, given: str, secret: str) -> None:
    rendered = render(**{"prefect.authSecret": given})
    found = {name: references(pod["containers"][0]) for name, pod in rendered.pods().items()}
    assert found["prefect"]["PREFECT_SERVER_API_AUTH_STRING"] == (secret, PASSWORD)
    assert {name for name, of_pod in found.items() if of_pod.get(PASSWORD) == (secret, PASSWORD)} == ASKERS
    pods = yaml.safe_load(rendered.of("ConfigMap", "-registration")["data"]["pods.yaml"])
    assert references(pods)[PASSWORD] == (secret, PASSWORD)
    made = [one["metadata"]["name"] for one in rendered if one["kind"] == "Secret"]
    assert (OWN in made) is not bool(given)


def test_the_password_is_made_up_and_stands_in_its_secret_alone(render: Render) -> None:
    rendered = render()
    said = rendered.of("Secret", "-prefect")["stringData"]
    assert said[PASSWORD] == f"{said['username']}:{said['password']}"
    assert len(said["password"]) >= 32
    assert said["password"] not in json.dumps([one for one in rendered if one["kind"] != "Secret"])
    assert render().of("Secret", "-prefect")["stringData"]["password"] != said["password"]


def test_the_worker_of_pods_names_the_secret_in_each_job(render: Render) -> None:
    (worker,) = render().pods()["kubernetes-worker"]["containers"]
    told = {one["name"]: one.get("value") for one in worker["env"]}
    setting = "PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_AUTH_STRING_SECRET"
    assert (told[f"{setting}_NAME"], told[f"{setting}_KEY"]) == (OWN, PASSWORD)


def test_a_migration_waits_for_no_password_that_comes_after_it(render: Render) -> None:
    """It goes before the upgrade that brings the first password to a release of before."""
    (migration,) = render(FILES["production"], "--is-upgrade").pods()["migration"]["containers"]
    assert references(migration).keys() == {"STAGER_DATABASE_URL"}


def test_the_server_answers_to_its_own_names(render: Render) -> None:
    def hosts(**values: object) -> set[str]:
        (server,) = render(**values).pods()["prefect"]["containers"]
        (said,) = [one["value"] for one in server["env"] if one["name"] == "STAGER_PREFECT_HOSTS"]
        return set(json.loads(said))

    own = {OWN, f"{OWN}.site", f"{OWN}.site.svc", f"{OWN}.site.svc.cluster.local"}
    assert hosts() == own
    pages = {"prefect.server.ingress.enabled": True, "prefect.server.ingress.host": "prefect.example.org"}
    assert hosts(**pages, **{"prefect.server.hosts": ["10.0.0.7"]}) == own | {"prefect.example.org", "10.0.0.7"}
    assert hosts(**{"prefect.apiUrl": "http://tasks.example.org:4200/api"}) == own | {"tasks.example.org"}


@pytest.mark.parametrize(("address", "api"), [("", "/api"), ("https://p.example.org/tasks/", "/tasks/api")])
def test_the_pages_ask_the_name_that_they_came_by(render: Render, address: str, api: str) -> None:
    (server,) = render(**{"prefect.uiUrl": address}).pods()["prefect"]["containers"]
    told = {one["name"]: one.get("value") for one in server["env"]}
    assert told["PREFECT_UI_API_URL"] == api
    assert told["PREFECT_UI_URL"] == (address.rstrip("/") or "http://localhost:4200")


def test_prometheus_has_the_password_too(render: Render) -> None:
    (endpoint,) = render(FILES["production"]).of("ServiceMonitor", "-prefect")["spec"]["endpoints"]
    assert endpoint["basicAuth"] == {key: {"name": OWN, "key": key} for key in ("username", "password")}


@pytest.mark.parametrize("values", FILES)
def test_a_prefect_elsewhere_gets_what_its_secret_has(render: Render, values: str) -> None:
    rendered = render(
        FILES[values],
        **{
            "prefect.server.enabled": False,
            "prefect.apiUrl": "https://p.example.org/api",
            "prefect.authSecret": "cloud",
        },
    )
    for name in ("api", "warm-worker", "registration"):
        (container, *_) = rendered.pods()[name]["containers"]
        assert {"secretRef": {"name": "cloud"}} in container["envFrom"], name
        assert PASSWORD not in references(container)


def test_the_authorities_of_a_prefect_elsewhere_are_wherever_it_is_asked(render: Render) -> None:
    rendered = render(FILES["claims"], **{"dispatcher.separate": True})
    assert rendered.of("ConfigMap", "-environment")["data"]["PREFECT_API_SSL_CERT_FILE"] == "/etc/prefect/ca.crt"
    asking = {name: rendered.pods()[name] for name in ASKERS | {"dispatcher"}}
    pods = yaml.safe_load(rendered.of("ConfigMap", "-registration")["data"]["pods.yaml"])
    mounts = {name: (pod["volumes"], pod["containers"][0]["volumeMounts"]) for name, pod in asking.items()}
    for name, (volumes, mounted) in (mounts | {"run": (pods["volumes"], pods["volume_mounts"])}).items():
        assert {"name": "prefect", "configMap": {"name": "site-authorities"}} in volumes, name
        assert {"name": "prefect", "mountPath": "/etc/prefect", "readOnly": True} in mounted, name
