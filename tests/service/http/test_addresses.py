"""Which verbs an address has, what a HEAD is answered, and that no parameter of a query is dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from stager.models import Status

if TYPE_CHECKING:
    from tests.service.conftest import ServedDoor

# Addresses that no description names.
MORE = (
    "/openapi.json",
    "/",
    "/docs",
    "/docs/page.js",
    "/docs/assets/none",
    "/manual",
    "/manual/none",
    "/config/",
    "/logs/",
    "/health/ready/",
)
# What an old client sends to these is taken as it is.
DEMOS = {"/stage_data", "/logs", "/config", "/config/allowed-methods", "/create-file"}
# What there is no need to say: a stream has no length, and who ends it is the server.
FRAMING = {"content-length", "transfer-encoding"}


@pytest.fixture(scope="module")
def filled(lone_door: ServedDoor) -> dict[str, str]:
    """What an address names: a request, a file, a kind of problem."""
    (lone_door.source / "named.fits").write_bytes(b"SIMPLE")
    request_id = lone_door.ask().json()["request_id"]
    return {"request_id": request_id, "area": "source", "path": "named.fits", "name": "not-allowed"}


@pytest.fixture(scope="module")
def described(lone_door: ServedDoor) -> dict[str, set[str]]:
    """The addresses, and the verbs of each."""
    return {path: {*verbs} for path, verbs in lone_door.client.get("/openapi.json").json()["paths"].items()}


def asked(door: ServedDoor, verb: str, address: str) -> httpx.Response:
    """Return an answer; of one that is no error, its head: it may be a stream without an end."""
    body: dict[str, str] | None = {} if verb == "post" else None
    with door.client.stream(verb.upper(), address, json=body) as answer:
        if answer.is_error:
            answer.read()
    return answer


def test_an_address_that_has_no_such_verb_says_which_it_has(
    lone_door: ServedDoor, filled: dict[str, str], described: dict[str, set[str]]
) -> None:
    places = described | {path: {"get"} for path in MORE}
    answers = {path: asked(lone_door, "put", path.format(**filled)) for path in places}
    unsaid = {
        path: {*verbs, *(["head"] if "get" in verbs else [])} - {*answers[path].headers["allow"].lower().split(", ")}
        for path, verbs in places.items()
    }

    assert {path: answer.status_code for path, answer in answers.items()} == dict.fromkeys(places, 405)
    assert {path: verbs for path, verbs in unsaid.items() if verbs} == {}


def test_an_address_is_the_same_with_a_slash_behind_it(
    lone_door: ServedDoor, filled: dict[str, str], described: dict[str, set[str]]
) -> None:
    places = [path.format(**filled) for path in described if not path.startswith("/files/")]
    with_slash, without = (
        {path: asked(lone_door, "put", path + end).headers.get("allow") for path in places} for end in ("/", "")
    )

    assert with_slash == without
    assert None not in with_slash.values()
    assert [path for path in described if path.endswith("/")] == []


def test_what_answers_a_get_answers_a_head(
    lone_door: ServedDoor, filled: dict[str, str], described: dict[str, set[str]]
) -> None:
    named = [*MORE, *(path for path, verbs in described.items() if "get" in verbs)]
    read = [path for path in named if "ready" not in path]  # which goes by the moment

    def head_of(answer: httpx.Response) -> tuple[int, str | None, set[str]]:
        return answer.status_code, answer.headers.get("content-type"), {*answer.headers} - FRAMING

    heads = {path: lone_door.client.head(path.format(**filled)) for path in read}
    gets = {path: head_of(asked(lone_door, "get", path.format(**filled))) for path in read}

    assert {path: head_of(answer) for path, answer in heads.items()} == gets
    assert b"".join(answer.content for answer in heads.values()) == b""


def test_a_parameter_that_a_call_does_not_know_is_refused(
    lone_door: ServedDoor, filled: dict[str, str], described: dict[str, set[str]]
) -> None:
    calls = [(verb, path) for path in described.keys() - DEMOS for verb in described[path] - {"head"}]
    answers = {call: asked(lone_door, call[0], f"{call[1].format(**filled)}?state=failed") for call in calls}
    # The Tape REST API's document has 400 for whatever is malformed.
    expected = {call: 400 if call[1].startswith(("/api/v1/", "/.well-known/")) else 422 for call in calls}

    assert {call: answer.status_code for call, answer in answers.items()} == expected
    assert [call for call, answer in answers.items() if "The call has no such parameter" not in answer.text] == []


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/requests", "limit=1&limit=2"),
        ("/requests", "username=alice&username="),
        ("/requests/{request_id}/items", "limit=1&limit=2"),
        ("/areas/source/entries", "path=a&path="),
        ("/files/source/named.fits", "username=alice&username=bob"),
        ("/links", "token=a&token=b"),
        ("/logs/stream", "lines=1&lines=2"),
    ],
)
def test_a_parameter_that_is_said_twice_and_counts_once_is_refused(
    lone_door: ServedDoor, filled: dict[str, str], path: str, query: str
) -> None:
    answer = asked(lone_door, "get", f"{path.format(**filled)}?{query}")
    [found] = answer.json()["detail"]

    assert (answer.status_code, found["loc"]) == (422, ["query", query.partition("=")[0]])
    assert found["msg"] == "It is given 2 times, and may be given once"


def test_requests_of_several_statuses_are_found(lone_door: ServedDoor) -> None:
    failed, cancelled, open_one = (lone_door.ask().json()["request_id"] for _ in range(3))
    reason = {"error_type": "SourceNotFound", "error_reason": "nothing is there"}
    lone_door.end(failed, {"status": Status.FAILED, **reason})
    lone_door.client.delete(f"/requests/{cancelled}")
    answer = lone_door.client.get("/requests?status=failed&status=cancelled&limit=1000").json()["requests"]
    found = {request["request_id"] for request in answer}

    assert {failed, cancelled} <= found
    assert open_one not in found


def test_the_demos_calls_take_what_old_clients_send(lone_door: ServedDoor) -> None:
    places = ("/logs/", "/logs", "/config/", "/config/allowed-methods/", "/docs")
    statuses = {path: lone_door.client.get(f"{path}?_=17324784&_=17324785").status_code for path in places}

    assert statuses == dict.fromkeys(places, 200)
    assert lone_door.stage(params={"_": "1732478400"}).status_code == 202
