"""Examples of bodies in the API's description, put together from the examples of their fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Node = dict[str, Any]

# Values that the examples of several fields share.
REQUEST_ID = "0198c4f0a1b27c3d9e4f5a6b7c8d9e0f"
BEGAN, ENDED = "2026-11-24T20:00:00Z", "2026-11-24T20:05:00Z"
MILLISECONDS = 1_795_550_400_000
SECRET = "0123456789abcdef"  # noqa: S105 - of nobody

OF_TYPES = {"string": "text", "integer": 1, "number": 1.0, "boolean": False, "null": None}


def example_of(schema: Node, components: Node) -> Any:  # noqa: ANN401 - JSON
    """Return an example of a schema, given the schemas that it may refer to.

    A member that may be null or left out is, unless it has an example of its own. One of what it is where it is not
    null, inside its type, stands in the description alone.
    """
    for word in ("const", "default", "examples", "enum"):
        if word in schema:
            return schema[word] if word in ("const", "default") else schema[word][0]
    if "$ref" in schema:
        return example_of(components[schema["$ref"].rpartition("/")[2]], components)
    if "anyOf" in schema:
        return example_of(schema["anyOf"][0], components)
    if schema["type"] == "array":
        return [example_of(schema["items"], components)]
    if schema["type"] == "object":
        return dict(_members(schema, components))
    return OF_TYPES[schema["type"]]


def _members(schema: Node, components: Node) -> Iterator[tuple[str, object]]:
    for name, member in schema.get("properties", {}).items():
        if "examples" in member:
            yield name, member["examples"][0]
        elif {"type": "null"} not in member.get("anyOf", ()):
            yield name, example_of(member, components)
        elif name in schema.get("required", ()):
            yield name, None
