"""Write docs/chart-values.md from the chart's schema and defaults: ``python -m deployments.chart_reference``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).parents[1]
CHART = CHECKOUT / "charts" / "skao-staging-service"
PAGE = CHECKOUT / "docs" / "chart-values.md"
HEAD = """\
# The chart's values

Made from `values.schema.json` and `values.yaml` by `python -m deployments.chart_reference`. What is not in
this list is refused, and so is a value of another kind, or null where there has to be a value.
[On Kubernetes](kubernetes.md) begins with a handful.
"""
TABLE = "\n| key | kind | default | meaning |\n|---|---|---|---|\n"

Schema = dict[str, Any]


def reference() -> str:
    """Return the page: a heading for each group of values, a row for each value."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    single = {name: below for name, below in schema["properties"].items() if "properties" not in below}
    groups = {name: below for name, below in schema["properties"].items() if "properties" in below}
    parts = [HEAD, TABLE, *(_row(name, below, defaults.get(name)) for name, below in single.items())]
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


def main() -> None:
    """Write the page anew."""
    PAGE.write_text(reference())


if __name__ == "__main__":
    main()
