"""values.schema.json: it refuses what the chart does not know, and says where."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.chart.conftest import CHART, KUBERNETES, Manifest, Rendered

SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())
# What values hold as Kubernetes writes it, by the names of their definitions.
KUBERNETES_OBJECTS = ("affinity", "envFromSource", "envVar", "toleration", "volume", "volumeMount")
REQUIRED = {"envVar": ["name"], "volume": ["name"], "volumeMount": ["name", "mountPath"]}
# The oldest Kubernetes that Chart.yaml names.
OLDEST = "1.29"
Template = Callable[..., subprocess.CompletedProcess[str]]
Render = Callable[..., Rendered]


def keys(values: object, schema: dict[str, Any], place: str = "") -> Iterator[tuple[str, Manifest, object]]:
    """Give each key that the schema names, with its schema and its default."""
    for name, below in schema.get("properties", {}).items():
        default = values.get(name, KeyError) if isinstance(values, dict) else KeyError
        yield f"{place}{name}", below, default
        yield from keys(default, below, f"{place}{name}.")


KEYS = {key: (schema, default) for key, schema, default in keys(DEFAULTS, SCHEMA)}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("replicaCuont", 2, "additional properties 'replicaCuont' not allowed"),
        ("storage.source.local.hostpath", "/data", "at '/storage/source/local': additional properties 'hostpath'"),
        ("replicaCount", "two", "at '/replicaCount': got string, want integer"),
        ("storage.source.type", "cephfs", "at '/storage/source/type': value must be one of 'local', 'nfs'"),
        ("config.settings", {"STAGER_WIAT": 3}, "invalid propertyName 'STAGER_WIAT'"),
        ("users", {"../alice": {"uid": 1, "gid": 1}}, "invalid propertyName '../alice'"),
        ("users", {"alice": {"uid": 1}}, "at '/users/alice': missing property 'gid'"),
        ("extraEnv", [{"names": "SITE"}], "at '/extraEnv/0': additional properties 'names' not allowed"),
        ("extraEnv", [{"name": "N", "valueForm": {}}], "at '/extraEnv/0': additional properties 'valueForm'"),
        ("extraEnvFrom", [{"secret": {"name": "s"}}], "at '/extraEnvFrom/0': additional properties 'secret'"),
        ("extraVolumes", [{"emptyDir": {}}], "at '/extraVolumes/0': missing property 'name'"),
        ("extraVolumeMounts", [{"name": "a"}], "at '/extraVolumeMounts/0': missing property 'mountPath'"),
        ("api.tolerations", [{"kye": "dtn"}], "at '/api/tolerations/0': additional properties 'kye'"),
        ("api.affinity", {"nodeAfinity": {}}, "at '/api/affinity': additional properties 'nodeAfinity'"),
        ("service.nodePort", 80, "at '/service/nodePort': "),
    ],
)
def test_a_wrong_value_is_refused_by_its_place(template: Template, key: str, value: object, message: str) -> None:
    done = template(**{key: value})
    assert done.returncode != 0
    assert message in done.stderr


@pytest.mark.parametrize("port", [None, 0, 30000, 32767])
def test_a_port_of_the_nodes_is_theirs_or_left_to_the_cluster(template: Template, port: int | None) -> None:
    assert template(**{"service.nodePort": port}).returncode == 0


def test_every_default_is_in_the_schema_and_the_reverse() -> None:
    assert "replicaCount" in KEYS
    assert [key for key, (_, default) in KEYS.items() if default is KeyError and key != "global"] == []


def test_every_key_says_what_it_is() -> None:
    assert [key for key, (schema, _) in KEYS.items() if not schema.get("description")] == []


def objects(schema: object, place: str = "") -> Iterator[tuple[str, Manifest]]:
    """Give each object of a schema, however deep: those of lists and the definitions too."""
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield place, schema
        for name, below in schema.items():
            yield from objects(below, f"{place}/{name}")


def test_unknown_keys_are_refused_everywhere() -> None:
    """A map has keys that we cannot know; what Kubernetes has below the keys named here, it checks itself."""
    left_to_kubernetes = tuple(f"/definitions/{name}/" for name in KUBERNETES_OBJECTS)
    opened = {
        place
        for place, schema in objects(SCHEMA)
        if not (schema.get("additionalProperties") is False or isinstance(schema.get("additionalProperties"), dict))
        and not (place.startswith(left_to_kubernetes) and "properties" not in schema)
    }
    assert opened == {"/properties/global"}


@pytest.mark.parametrize("name", KUBERNETES_OBJECTS)
def test_every_key_that_a_kubernetes_has_is_taken(name: str) -> None:
    known: set[str] = set()
    for folder in Path(kubernetes_validate.__file__).parent.glob("kubernetes-json-schema/*-strict"):
        if folder.name >= f"v{OLDEST}":
            known |= json.loads((folder / f"{name.lower()}-v1.json").read_text())["properties"].keys()
    ours = SCHEMA["definitions"][name]
    assert ours["properties"].keys() == known
    assert ours.get("required", []) == REQUIRED.get(name, [])


def overridden(schema: Manifest, *, required: bool) -> dict[str, Any]:
    """Return values in which every key is null that has to be given, or else every one that need not be."""
    found: dict[str, Any] = {}
    for name, below in schema["properties"].items():
        must = name in schema.get("required", [])
        if "properties" in below and (must or required):
            found[name] = overridden(below, required=required)
        elif must is required and name != "global":  # which is Helm's
            found[name] = None
    return found


def named(values: object, place: str = "") -> Iterator[str]:
    """Give the keys that are null, each with its place as Helm writes it."""
    if isinstance(values, dict):
        for name, below in values.items():
            yield from [f"{place} {name}"] if below is None else named(below, f"{place}/{name}")


def test_what_has_to_be_given_cannot_be_taken_away(template: Template, tmp_path: Path) -> None:
    """To Helm null is no value but the lack of one, and what is made of that is no Kubernetes, or another service."""
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(missing := overridden(SCHEMA, required=True)))
    done = template(file)
    assert done.returncode != 0
    lines = re.findall(r"at '([^']*)': missing \w+ ([^\n]*)", done.stderr)
    said = {f"{place} {name}" for place, names in lines for name in re.findall(r"'([^']*)'", names)}
    assert said == set(named(missing))
    assert {"/storage/source readOnly", "/warmWorker enabled", "/networkPolicy enabled"} <= set(named(missing))


def test_without_all_that_need_not_be_given_it_is_kubernetes(render: Render, tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(overridden(SCHEMA, required=False)))
    rendered = render(file)
    assert "%!s" not in json.dumps(rendered)
    for manifest in rendered:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
