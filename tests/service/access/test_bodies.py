"""A body is read only when it is known who calls, and holds no more values than the site takes."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from stager.callers.body_route import LARGE_BYTES, MANY_MISTAKES, ValueCounter
from stager.errors import BodyTooComplex
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from tests.service.conftest import ServedDoor

pytestmark = pytest.mark.any_database

MIB = 1024**2
REQUEST = {"method": "local_copy", "username": "alice"}
ITEM = {"source": "a.fits", "destination": "b.fits"}


def answer_to_head(door: ServedDoor, verb: str, path: str, *fields: str) -> int:
    """Return the status of the answer to a call whose body never comes."""
    lines = [f"{verb.upper()} {path} HTTP/1.1", "Host: door", "Content-Type: application/json", *fields]
    with socket.create_connection(("127.0.0.1", int(door.url.rpartition(":")[2])), timeout=PATIENCE) as connection:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        return int(connection.makefile("rb").readline().split()[1])


@pytest.mark.parametrize("length", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
def test_without_a_token_no_byte_of_a_body_is_waited_for_at_any_route(guarded_door: ServedDoor, length: str) -> None:
    paths = guarded_door.client.get("/openapi.json").json()["paths"]
    calls = [(verb, path) for path, verbs in paths.items() for verb, call in verbs.items() if "requestBody" in call]
    url = {path: path.format(request_id="0" * 32) + "?method=local_copy" for _, path in calls}

    answers = {(verb, path): answer_to_head(guarded_door, verb, url[path], length) for verb, path in calls}

    assert len(answers) > 8
    assert answers == dict.fromkeys(answers, 401)


def post(door: ServedDoor, content: bytes, path: str = "/requests") -> Any:
    return door.client.post(path, content=content, headers={"Content-Type": "application/json"})


MANY = {
    "lists": b"[" + b"[[]]," * (3 * MIB) + b"1]",
    "objects": b"[" + b"{}," * (5 * MIB) + b"1]",
    "numbers": b"[" + b"1," * (7 * MIB) + b"1]",
    "words": b"[" + b'"",' * (5 * MIB) + b"1]",
    "members": b"{" + b'"":1,' * (3 * MIB) + b'"":1}',
}


@pytest.mark.parametrize("path", ["/requests", "/stage_data?method=local_copy&username=alice", "/api/v1/stage"])
@pytest.mark.parametrize("what", MANY)
def test_a_body_of_very_many_values_is_given_up_before_it_is_parsed(
    lone_door: ServedDoor, what: str, path: str
) -> None:
    process = psutil.Process(lone_door.worker())
    before = process.memory_info().rss
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: post(lone_door, MANY[what], path), range(3)))

    assert {answer.status_code for answer in answers} == {413}
    assert {answer.json()["type"].rpartition("/")[2] for answer in answers} == {"body-too-complex"}
    assert process.memory_info().rss - before < 256 * MIB


@pytest.mark.parametrize("items", [1, 1000])
def test_a_body_that_is_not_utf_8_is_refused(lone_door: ServedDoor, items: int) -> None:
    """In UTF-16 this letter has a quotation mark's byte: what follows would pass for a part of a string."""
    said = {**REQUEST, "note": "\u0122", "items": [{**ITEM, "destination": f"{one}.fits"} for one in range(items)]}
    text = json.dumps(said, ensure_ascii=False)

    assert post(lone_door, text.encode("utf-16-le")).status_code in (400, 422)
    assert post(lone_door, text.encode("utf-8")).status_code == 202


def test_a_request_of_as_many_items_as_the_site_takes_is_no_burden(lone_door: ServedDoor) -> None:
    items = [ITEM | {"destination": f"a,[{{{n}", "checksum": "0a1b2c3d", "size_bytes": n} for n in range(10_000)]

    assert post(lone_door, json.dumps({**REQUEST, "items": items}).encode()).status_code == 202


def test_a_large_body_that_is_wrong_is_refused_in_the_same_words_as_a_small_one(lone_door: ServedDoor) -> None:
    wrong = {**REQUEST, "items": [ITEM, {"source": 1}, {**ITEM, "size_bytes": True, "x": 0}], "priority": 11}
    small, large = json.dumps(wrong).encode(), json.dumps(wrong | {"note": "n" * 2 * LARGE_BYTES}).encode()
    told = [post(lone_door, body).json()["detail"] for body in (small, large)]

    assert [about for about in told[1] if about["loc"] != ["body", "note"]] == told[0]
    assert len(told[0]) > 3
    assert post(lone_door, large[:-1]).json()["detail"][0]["type"] == "json_invalid"
    assert post(lone_door, b"[" * LARGE_BYTES).status_code == 400


def test_of_very_many_mistakes_only_their_number_is_told(lone_door: ServedDoor) -> None:
    some, many = (
        post(lone_door, json.dumps({**REQUEST, "items": ["no item"] * n}).encode())
        for n in (MANY_MISTAKES - 1, MANY_MISTAKES)  # one more is that the list of items is not as it must be
    )

    assert (some.status_code, len(some.json()["detail"])) == (422, 100)
    assert (many.status_code, many.json()["detail"]) == (
        422,
        [{"type": "too_many_mistakes", "loc": ["body"], "msg": f"The body has {MANY_MISTAKES + 1} mistakes"}],
    )


def test_an_escaped_name_comes_through_a_large_body_as_through_a_small_one(lone_door: ServedDoor) -> None:
    name = "not-utf-8-\udcff"
    body = {**REQUEST, "items": [{"source": name, "destination": f"{name}-{n}"} for n in range(2000)]}
    sent = json.dumps(body).encode()
    assert len(sent) > LARGE_BYTES

    request = lone_door.request(post(lone_door, sent).json()["request_id"])
    assert request["items"][1]["source"] == name


def counted(value: Any) -> int:
    """Return how many lists, objects and commas a value is written with."""
    inner = list(value.values()) if isinstance(value, dict) else value
    return 1 + max(0, len(inner) - 1) + sum(map(counted, inner)) if isinstance(value, dict | list) else 0


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_values_are_counted_the_same_however_a_body_is_cut(size: int) -> None:
    said = {"a,[{": ['\\",\\\\', "\\\\\\", [1, {}, []], '"'], "\\": "{,", "b": [[[]]], "\\\\": "[", "c": 1}
    body = json.dumps(said).encode()
    values = ValueCounter(limit=1000)
    for start in range(0, len(body), size):
        values.count(body[start : start + size])

    assert values.found == 1 + counted(said)
    with pytest.raises(BodyTooComplex):
        ValueCounter(limit=counted(said)).count(body)
