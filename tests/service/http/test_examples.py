"""The API's description shows by example what is sent and answered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

if TYPE_CHECKING:
    from tests.service.conftest import ServedDoor

pytestmark = pytest.mark.any_database


def resolved(document: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    """Return what is said in one place, or where that leads to."""
    for name in said.get("$ref", "#").split("/")[1:]:
        document = document[name]
    return document if "$ref" in said else said


def parameters_of(document: dict[str, Any], call: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the parameters of a call."""
    return [resolved(document, said) for said in call.get("parameters", ())]


def of_json(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give each body and answer in JSON that a call may have, with the call."""
    for path, verbs in document["paths"].items():
        for verb, call in verbs.items():
            for where, said in {"body": call.get("requestBody", {}), **call["responses"]}.items():
                for media_type, media in resolved(document, said).get("content", {}).items():
                    if media_type in {"application/json", "application/problem+json"}:
                        yield f"{verb} {path} {where} {media_type}", media


def lacking(document: dict[str, Any]) -> Iterator[str]:
    """Give what is asked or answered without an example, with the call."""
    for path, verbs in document["paths"].items():
        for verb, call in verbs.items():
            for parameter in parameters_of(document, call):
                if "example" not in parameter:
                    yield f"{verb} {path} {parameter['name']}"
            for status, said in call["responses"].items():
                answer = resolved(document, said)
                for name, header in answer.get("headers", {}).items():
                    if "example" not in resolved(document, header):
                        yield f"{verb} {path} {status} {name}"
                if status in {"200", "201", "202", "206"} and not is_shown(answer.get("content", {})):
                    yield f"{verb} {path} {status}"


def is_shown(content: dict[str, dict[str, Any]]) -> bool:
    return bool(content) and all(media.keys() & {"example", "examples", "schema"} for media in content.values())


def test_every_parameter_header_and_body_has_an_example(lone_door: ServedDoor) -> None:
    document = lone_door.client.get("/openapi.json").json()
    calls = (
        "delete /api/v1/stage/{request_id}",
        "post /api/v1/stage/{request_id}/cancel",
        "post /api/v1/release/{request_id}",
    )
    without_body = {f"{call} 200" for call in calls}  # the standard has none

    assert set(lacking(document)) == without_body


def test_every_example_of_a_parameter_fits_it(lone_door: ServedDoor) -> None:
    document = lone_door.client.get("/openapi.json").json()
    parameters = [
        (verb, path, parameter)
        for path, verbs in document["paths"].items()
        for verb, call in verbs.items()
        for parameter in parameters_of(document, call)
    ]
    assert parameters
    for verb, path, parameter in parameters:
        validator = Draft202012Validator({**parameter["schema"], "components": document["components"]})
        assert list(validator.iter_errors(parameter["example"])) == [], (verb, path, parameter["name"])


def test_every_example_of_a_member_fits_it(lone_door: ServedDoor) -> None:
    document = lone_door.client.get("/openapi.json").json()
    shown = [
        (name, member, described, example)
        for name, schema in document["components"]["schemas"].items()
        for one in (schema, *schema.get("allOf", ()))
        for member, described in one.get("properties", {}).items()
        for example in described.get("examples", ())
    ]
    assert len(shown) > 100
    for name, member, described, example in shown:
        validator = Draft202012Validator({**described, "components": document["components"]})
        assert list(validator.iter_errors(example)) == [], (name, member)


def test_the_conditions_and_parts_of_a_download_are_described(lone_door: ServedDoor) -> None:
    document = lone_door.client.get("/openapi.json").json()
    calls = document["paths"]["/files/{area}/{path}"]
    known = {"Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"}

    for verb in ("get", "head"):
        named = {(parameter["in"], parameter["name"]) for parameter in parameters_of(document, calls[verb])}
        assert named >= {("path", "path"), ("query", "archive"), *(("header", name) for name in known)}


def test_every_body_and_answer_in_json_has_an_example_that_is_as_described(lone_door: ServedDoor) -> None:
    document = lone_door.client.get("/openapi.json").json()
    found = dict(of_json(document))

    assert "post /requests/{request_id}/cancel body application/json" in found
    assert [call for call, media in found.items() if not media.keys() & {"example", "examples"}] == []
    for call, media in found.items():
        validator = Draft202012Validator({**media["schema"], "components": document["components"]})
        for example in media.get("examples", {"": {"value": media.get("example")}}).values():
            assert list(validator.iter_errors(example["value"])) == [], call
    file = document["paths"]["/files/{area}/{path}"]["head"]["responses"]["200"]
    assert "application/json" not in resolved(document, file)["content"]


def bounds_of(node: object) -> Iterator[str]:
    """Give the words of Python's own for bounds, which JSON Schema does not know."""
    if isinstance(node, dict):
        yield from node.keys() & {"ge", "gt", "le", "lt"}
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        yield from bounds_of(child)


def test_the_description_is_small_and_its_names_and_words_are_what_generators_know(lone_door: ServedDoor) -> None:
    answer = lone_door.client.get("/openapi.json")
    document = answer.json()
    names = [call["operationId"] for verbs in document["paths"].values() for call in verbs.values()]

    assert len(answer.content) <= 145_000
    shared, _ = document["components"]["schemas"]["RequestView"]["allOf"]
    assert shared == {"$ref": "#/components/schemas/RequestSummary"}
    assert len(set(names)) == len(names)
    assert {"stage_data", "create_request", "create_request_from_manifest", "retry_request", "list_requests"} <= {
        *names
    }
    assert [name for name in names if not name.isidentifier() or "__" in name] == []
    assert list(bounds_of(document)) == []
    assert "(?i" not in answer.text  # ECMA-262 has no such group
