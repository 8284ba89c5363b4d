"""The chart's way to an object store: its keys by reference, for the registration alone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chart.conftest import Rendered, policies, reaches_address, values_on_page, variables

Render = Callable[..., Rendered]
NAMES = ("STAGER_OBJECT_STORE_ACCESS_KEY", "STAGER_OBJECT_STORE_SECRET_KEY")
STORE = {"objectStore.endpoint": "https://s3.example.org", "objectStore.bucket": "science"}
OWN = "staging-skao-staging-service-object-store"
KEYS = {"objectStore.accessKey": "staging", "objectStore.secretKey": "open-sesame"}


@pytest.mark.parametrize(
    ("values", "secret"),
    [
        (KEYS, OWN),
        ({"objectStore.existingSecret": "site-store"}, "site-store"),
        ({"objectStore.existingSecret": "site-store", **KEYS}, "site-store"),
    ],
)
def test_the_registration_alone_has_the_keys_by_reference(render: Render, values: dict[str, str], secret: str) -> None:
    rendered = render(**STORE | values)
    found = {name: variables(pod["containers"][0]) for name, pod in rendered.pods().items()}
    told = {name: value for name, value in found["registration"].items() if name.startswith("STAGER_OBJECT_STORE_")}
    assert told == {
        "STAGER_OBJECT_STORE_ENDPOINT": "https://s3.example.org",
        "STAGER_OBJECT_STORE_BUCKET": "science",
        **{name: {"secretKeyRef": {"name": secret, "key": name}} for name in NAMES},
    }
    others = [one for one in rendered if one["kind"] != "Secret" and "registration" not in one["metadata"]["name"]]
    assert "OBJECT_STORE" not in json.dumps(others)
    made = {one["metadata"]["name"]: one["stringData"] for one in rendered if one["kind"] == "Secret"}
    assert made.get(OWN) == (dict(zip(NAMES, KEYS.values(), strict=True)) if secret == OWN else None)
    assert "open-sesame" not in json.dumps([one for one in rendered if one["kind"] != "Secret"])


def test_the_registration_is_told_the_rest_and_reads_the_authorities(render: Render) -> None:
    more = {"prefix": "staged/{username}", "region": "zone", "caConfigMap": "site-authorities"}
    pod = render(**STORE | KEYS | {f"objectStore.{name}": value for name, value in more.items()}).pods()["registration"]
    told = variables(pod["containers"][0])
    (mount,) = [one for one in pod["containers"][0]["volumeMounts"] if one["name"] == "object-store"]
    assert told["STAGER_OBJECT_STORE_CA_FILE"] == f"{mount['mountPath']}/ca.crt"
    assert {"name": "object-store", "configMap": {"name": "site-authorities"}} in pod["volumes"]
    assert (told["STAGER_OBJECT_STORE_PREFIX"], told["STAGER_OBJECT_STORE_REGION"]) == ("staged/{username}", "zone")


def test_without_an_endpoint_nothing_is_made_and_nothing_named(render: Render) -> None:
    assert "OBJECT_STORE" not in json.dumps(render(**KEYS))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (STORE, "give accessKey and secretKey, or existingSecret"),
        (KEYS | {"objectStore.endpoint": "https://s3.example.org"}, "into which bucket"),
        ({"config.settings.STAGER_OBJECT_STORE_SECRET_KEY": "open-sesame"}, "invalid propertyName"),
    ],
)
def test_what_would_not_do_is_refused(
    template: Callable[..., subprocess.CompletedProcess[str]], values: dict[str, object], words: str
) -> None:
    done = template(**values)
    assert done.returncode != 0
    assert words in done.stderr


def test_the_manuals_values_are_the_charts(render: Render, tmp_path: Path) -> None:
    rendered = render(values_on_page("object-stores.md", tmp_path))
    assert "s3_copy" in rendered.of("ConfigMap", "-environment")["data"]["ALLOWED_METHODS"]
    assert variables(rendered.pods()["registration"]["containers"][0])["STAGER_OBJECT_STORE_BUCKET"] == "science"
    assert reaches_address(policies(rendered)["warm-worker"]["egress"], "192.0.2.20", 443)
