"""The chart's values as tables, from its schema and its defaults."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[3] / "charts" / "skao-staging-service"
TABLE = "\n| key | kind | default | meaning |\n|---|---|---|---|\n"

Schema = dict[str, Any]


def chart_values() -> str:
    """Return a table of the single values, and a heading and a table for each group of them."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    single = {name: below for name, below in schema["properties"].items() if "properties" not in below}
    groups = {name: below for name, below in schema["properties"].items() if "properties" in below}
    parts = [TABLE, *(_row(name, below, defaults.get(name)) for name, below in single.items())]
    for name, below in groups.items():
        parts += [f"\n## {name}\n\n{below['description']}\n", TABLE, *_rows(f"{name}.", below, defaults[name])]
    return "".join(parts)


def _rows(place: str, schema: Schema, defaults: dict[str, Any]) -> Iterator[str]:
    for name, below in schema["properties"].items():
        default = defaults.get(name)
        if "properties" in below:
            yield f"| `{place}{name}` | | | {below['description']} |\n"
            yield from _rows(f"{place}{name}.", below, default or {})
        else:
            yield _row(f"{place}{name}", below, default)


def _row(key: str, schema: Schema, default: object) -> str:
    return f"| `{key}` | {_kind(schema)} | {_in_words(default)} | {schema['description']} |\n"


def _kind(schema: Schema) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    kind = schema.get("type", "object")
    words = {"integer": "number", "array": "list", "object": "map", "boolean": "true or false", "string": "text"}
    return " or ".join(words.get(one, one) for one in ([kind] if isinstance(kind, str) else kind))


def _in_words(default: object) -> str:
    return "" if default in (None, "", [], {}) else f"`{json.dumps(default).replace('|', '&#124;')}`"
