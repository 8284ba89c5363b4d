"""The API's description shows by example what is sent and answered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

if TYPE_CHECKING:
    from conftest import ServedDoor


def of_json(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give each body and answer in JSON that a call may have, with the call."""
    for path, verbs in document["paths"].items():
        for verb, call in verbs.items():
            for where, said in {"body": call.get("requestBody", {}), **call["responses"]}.items():
                for media_type, media in said.get("content", {}).items():
                    if media_type in {"application/json", "application/problem+json"}:
                        yield f"{verb} {path} {where} {media_type}", media


def test_every_body_and_answer_in_json_has_an_example_that_is_as_described(lone_door: ServedDoor) -> None:
    document = lone_door.client.get("/openapi.json").json()
    found = dict(of_json(document))

    assert "post /requests/{request_id}/cancel body application/json" in found
    assert [call for call, media in found.items() if not media.keys() & {"example", "examples"}] == []
    for call, media in found.items():
        validator = Draft202012Validator({**media["schema"], "components": document["components"]})
        for example in media.get("examples", {"": {"value": media.get("example")}}).values():
            assert list(validator.iter_errors(example["value"])) == [], call
    assert "application/json" not in document["paths"]["/files/{area}/{path}"]["head"]["responses"]["200"]["content"]
