"""values.schema.json: it refuses what the chart does not know, and says where."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from tests.chart.conftest import CHART, Manifest

SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())
Template = Callable[..., subprocess.CompletedProcess[str]]


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
    ],
)
def test_a_wrong_value_is_refused_by_its_place(template: Template, key: str, value: object, message: str) -> None:
    done = template(**{key: value})
    assert done.returncode != 0
    assert message in done.stderr


def test_every_default_is_in_the_schema_and_the_reverse() -> None:
    assert [key for key, (_, default) in KEYS.items() if default is KeyError and key != "global"] == []


def test_every_key_says_what_it_is() -> None:
    assert [key for key, (schema, _) in KEYS.items() if not schema.get("description")] == []


def test_unknown_keys_are_refused_everywhere() -> None:
    closed = [schema for schema, _ in KEYS.values() if "properties" in schema]
    assert all(schema["additionalProperties"] is False for schema in [SCHEMA, *closed])
