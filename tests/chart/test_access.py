"""Authentication by the chart's values: the file that the service reads, and what an install without one says."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from stager.callers.access_rules import Grant, IssuerRules, read_rules
from tests.chart.conftest import CHART, KUBERNETES, Helm, Rendered

Render = Callable[..., Rendered]
Template = Callable[..., subprocess.CompletedProcess[str]]
FILE = "/etc/staging/access.toml"
ISSUER: dict[str, Any] = {
    "url": "https://iam.example.org/",
    "audiences": ["data-management-api"],
    "profile": "iam",
    "algorithms": ["RS256"],
    "leeway": 10,
    "username_claim": "preferred_username",
    "names": {"0e3ad1ca-7d9c": "alice"},
    "userinfo": True,
}
ISSUERS = {"auth.issuers": [ISSUER]}
# The three ways of the chart, and that of a file which an operator mounts.
WAYS: dict[str, dict[str, Any]] = {
    "issuers": ISSUERS,
    "ConfigMap": {"auth.existingConfigMap": "site-access"},
    "Secret": {"auth.existingSecret": "site-access"},
    "file": {"config.settings": {"STAGER_ACCESS_FILE": "/etc/site/access.toml"}},
}
SCHEMA = json.loads((CHART / "values.schema.json").read_text())


def test_the_access_file_of_the_values_says_what_they_say(render: Render, tmp_path: Path) -> None:
    granted: dict[str, Any] = {
        "auth.everyone": {"methods": ["local_copy"]},
        "auth.groups": {"ska/science": {"methods": ["*"], "areas": ["source", "user"]}},
        "auth.users": {"fts": {"role": "service"}},
    }
    file = tmp_path / "access.toml"
    file.write_text(render(**ISSUERS, **granted).of("ConfigMap", "-access")["data"]["access.toml"])
    rules = read_rules(file)
    assert rules.issuers == (IssuerRules.model_validate(ISSUER),)
    assert rules.everyone == Grant.model_validate(granted["auth.everyone"])
    assert rules.groups == {"ska/science": Grant.model_validate(granted["auth.groups"]["ska/science"])}
    assert rules.users == {"fts": Grant(role="service")}


def test_every_key_of_the_access_file_can_be_given_to_the_chart() -> None:
    issuer = SCHEMA["properties"]["auth"]["properties"]["issuers"]["items"]
    grant = SCHEMA["definitions"]["grant"]
    assert IssuerRules.model_fields.keys() <= issuer["properties"].keys()
    assert Grant.model_fields.keys() <= grant["properties"].keys()


@pytest.mark.parametrize("way", ["issuers", "ConfigMap", "Secret"])
def test_whoever_serves_or_stages_finds_the_access_file(render: Render, way: str) -> None:
    rendered = render(**WAYS[way])
    assert rendered.of("ConfigMap", "-environment")["data"]["STAGER_ACCESS_FILE"] == FILE
    flow_run = yaml.safe_load(rendered.of("ConfigMap", "-registration")["data"]["pods.yaml"])
    pods = rendered.pods()
    found = {
        name: (pods[name]["volumes"], pods[name]["containers"][0]["volumeMounts"]) for name in ("api", "warm-worker")
    }
    found["flow-run"] = (flow_run["volumes"], flow_run["volume_mounts"])
    for name, (volumes, mounts) in found.items():
        (mount,) = [one for one in mounts if one["mountPath"] == "/etc/staging"]
        (volume,) = [one for one in volumes if one["name"] == mount["name"]]
        items = [
            item["path"]
            for source in volume["projected"]["sources"]
            for item in next(iter(source.values())).get("items", [])
        ]
        assert items == ["access.toml"], name


@pytest.mark.parametrize("way", WAYS)
def test_an_install_that_must_have_authentication_is_one_that_has(template: Template, way: str) -> None:
    required = {"auth.required": True}
    done = template(**required)
    assert done.returncode != 0
    assert (
        "auth.required is true, and without issuers anyone who reaches the service would act as any user" in done.stderr
    )
    assert template(**required, **WAYS[way]).returncode == 0


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"auth.groups": {"ska": {"methods": ["*"]}}}, "there are none"),
        ({**WAYS["Secret"], "auth.everyone": {"methods": ["*"]}}, "there are none"),
        (ISSUERS | WAYS["Secret"], "give one of issuers, existingConfigMap and existingSecret"),
        (ISSUERS | WAYS["file"], "config.settings.STAGER_ACCESS_FILE: another value of the chart says it"),
        ({"auth.issuers": [{"url": "https://iam.example.org/"}]}, "missing property 'audiences'"),
        ({"auth.issuers": [{**ISSUER, "audience": ["a"]}]}, "additional properties 'audience' not allowed"),
    ],
)
def test_what_would_have_no_effect_is_refused(template: Template, values: dict[str, Any], reason: str) -> None:
    done = template(**values)
    assert done.returncode != 0
    assert reason in done.stderr


@pytest.fixture(scope="module")
def notes(helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """What an install prints, of some values; ``helm template`` leaves it out."""
    chart = tmp_path_factory.mktemp("notes") / "chart"
    shutil.copytree(CHART, chart)
    notes = '{notes: {{ include (print .Template.BasePath "/NOTES.txt") . | toJson }}}'
    (chart / "templates" / "notes.yaml").write_text(notes)

    def run(**values: object) -> str:
        said = [option for key, value in values.items() for option in ("--set-json", f"{key}={json.dumps(value)}")]
        only = ("--show-only", "templates/notes.yaml", "--kube-version", KUBERNETES)
        done = helm("template", "staging", str(chart), *only, *said)
        assert done.returncode == 0, done.stderr
        return str(yaml.safe_load(done.stdout)["notes"])

    return run


def test_the_first_line_of_the_notes_says_what_authentication_off_means(notes: Callable[..., str]) -> None:
    first = notes().splitlines()[0]
    assert first.startswith("Authentication is off: anyone who reaches the service acts as any user")
    assert "auth.issuers" in first


@pytest.mark.parametrize("way", WAYS)
def test_the_first_line_of_the_notes_says_that_authentication_is_on(notes: Callable[..., str], way: str) -> None:
    assert notes(**WAYS[way]).splitlines()[0].startswith("Authentication is on")


def test_the_test_has_a_token_or_the_records_and_where_all_is_open_neither(render: Render) -> None:
    def names(**values: object) -> set[str]:
        (container,) = render(**values).pods()["test"]["containers"]
        return {one["name"] for one in container["env"]} & {"TEST_TOKEN", "STAGER_DATABASE_URL"}

    assert names() == set()
    assert names(**ISSUERS) == {"STAGER_DATABASE_URL"}
    assert names(**WAYS["file"]) == {"STAGER_DATABASE_URL"}
    assert names(**ISSUERS, **{"tests.tokenSecret": "site-token"}) == {"TEST_TOKEN"}


def test_the_test_stages_for_a_user_of_the_site(render: Render) -> None:
    alice = {"users": {"alice": {"uid": 70001, "gid": 70002}}, "tests.username": "alice"}
    rendered = render(**alice)
    (container,) = rendered.pods()["test"]["containers"]
    told = {one["name"]: one["value"] for one in container["env"]}
    assert (told["TEST_USERNAME"], told["TEST_UID"], told["TEST_GID"]) == ("alice", "70001", "70002")
    users = rendered.of("ConfigMap", "-users")["data"]["users.toml"]
    assert users.count("alice") == 1
