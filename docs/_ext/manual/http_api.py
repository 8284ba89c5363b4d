"""The HTTP API as pages of Markdown, from the application's OpenAPI document."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

from stager.app import create_app
from stager.settings import Settings

Description = dict[str, Any]
# As the groups of calls are headed, in this order.
GROUPS = {
    "requests": "Requests",
    "staging": "The demo's call",
    "downloads": "Downloads and listings",
    "tape": "The WLCG Tape REST API",
    "site": "The site",
    "problems": "Problems",
}
PLACES = {"path": "address", "query": "query", "header": "header"}


def openapi() -> Description:
    """Return the document that the service answers at ``/openapi.json``."""
    return dict(create_app(Settings(log_file=os.devnull, logging_level="ERROR")).openapi())


def http_api(document: Description) -> str:
    """Return a heading for each group of calls, for each call, and for each form of a body or an answer."""
    calls: dict[str, list[str]] = {group: [] for group in GROUPS}
    for path, verbs in sorted(document["paths"].items()):
        for verb, call in verbs.items():
            calls[call["tags"][0]].append("\n".join(_call(verb, path, call, document["components"])))
    groups = [f"## {GROUPS[group]}\n\n" + "\n".join(found) for group, found in calls.items() if found]
    forms = [_form(name, schema) for name, schema in sorted(document["components"]["schemas"].items())]
    return "\n".join([*groups, "## Bodies and answers\n", *forms])


def _call(verb: str, path: str, call: Description, shared: Description) -> Iterator[str]:
    yield f"### `{verb.upper()} {path}`\n"
    yield f"**{call['summary']}** (`{call['operationId']}`). {call.get('description', '')}\n"
    said = call.get("parameters", [])
    yield from _parameters([_resolved(one, shared["parameters"]) for one in said])
    shown: list[object] = []
    if body := call.get("requestBody"):
        yield from _content("Body", body["content"], shown)
    for status, answer in call["responses"].items():
        if status < "400":
            found = _resolved(answer, shared["responses"])
            yield from _content(f"`{status}`: {found['description'].rstrip('.')}", found.get("content", {}), shown)
    yield from _refusals([status for status in call["responses"] if status >= "400"])


def _resolved(said: Description, shared: Description) -> Description:
    """Return what is said in one place, or what it refers to."""
    return dict(shared[said["$ref"].rpartition("/")[2]]) if "$ref" in said else said


def _parameters(parameters: list[Description]) -> Iterator[str]:
    if not parameters:
        return
    yield "| parameter | in | kind | meaning |\n|---|---|---|---|"
    for one in parameters:
        needed = ", needed" if one.get("required") else ""
        meaning = one.get("description", "")
        yield _row(f"`{one['name']}`", PLACES[one["in"]] + needed, _kind(one["schema"]), meaning)
    yield ""


def _content(heading: str, content: Description, shown: list[object]) -> Iterator[str]:
    """Give what is sent, with an example of each form the first time in a call."""
    kinds = [
        f"`{media}` ({_kind(said['schema'])})" if said.get("schema") else f"`{media}`"
        for media, said in content.items()
    ]
    yield f"{heading}{', as ' if kinds else ''}{' or '.join(kinds)}.\n"
    said = content.get("application/json", {})
    if said.get("schema") not in shown and (example := _example(said)) is not None:
        shown.append(said.get("schema"))
        yield f"```json\n{json.dumps(example, indent=2)}\n```\n"


def _example(said: Description) -> Any:  # noqa: ANN401 - an example is anything
    if "examples" in said:
        return next(iter(said["examples"].values()))["value"]
    return said.get("example")


def _refusals(statuses: list[str]) -> Iterator[str]:
    yield f"Refused with {', '.join(f'`{status}`' for status in sorted(statuses))}: [problems](problems.md).\n"


def _form(name: str, schema: Description) -> str:
    parts = [f"({_label(name)})=\n### {name}\n", f"{schema.get('description', '')}\n"]
    if "allOf" in schema:
        inherited, schema = schema["allOf"]
        parts.append(f"All that {_kind(inherited)} has, and:\n")
    if "enum" in schema:
        parts.append("One of " + ", ".join(f"`{value}`" for value in schema["enum"]) + ".\n")
    if schema.get("properties"):
        parts.append("| member | kind | meaning |\n|---|---|---|")
        for member, said in schema["properties"].items():
            needed = ", needed" if member in schema.get("required", []) else ""
            default = f" By default `{json.dumps(said['default'])}`." if said.get("default") is not None else ""
            parts.append(_row(f"`{member}`", _kind(said) + needed, said.get("description", "") + default))
        parts.append("")
    return "\n".join(parts)


def _label(name: str) -> str:
    return f"form-{name.lower()}"


def _kind(schema: Description) -> str:
    """Return a schema in words, with a link to what is a form of its own."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{_label(name)})"
    if several := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
        return " or ".join(dict.fromkeys(_kind(one) for one in several))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}" if "items" in schema else "list"
    words = {"object": "map", "integer": "whole number", "boolean": "true or false", "string": "text"}
    kind = str(schema.get("type", "anything"))
    return {"date-time": "time", "binary": "bytes"}.get(schema.get("format", ""), words.get(kind, kind))


def _row(*cells: str) -> str:
    escaped = (" ".join(cell.split()).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"
