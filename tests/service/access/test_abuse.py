"""What nobody should send: it is refused in words, and others are served meanwhile. Table: docs/reference/abuse.md."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import psutil
import pytest

from tests.attacks.paths import ATTACKS
from tests.patience import PATIENCE
from tests.ports import NO_PREFECT

if TYPE_CHECKING:
    from tests.service.conftest import ServedDoor

MIB = 1024**2
GIB = 1024**3
STAGE = "/stage_data?method=local_copy&username=alice"


@pytest.fixture(scope="module")
def strict_door(
    serve: Callable[..., AbstractContextManager[ServedDoor]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedDoor]:
    """A door whose patience with slow clients is short."""
    folder = tmp_path_factory.mktemp("strict-door")
    patience = {"GRANIAN_HTTP1_HEADER_READ_TIMEOUT": "4000", "STAGER_MAX_PAUSE": "4"}
    where = {"database_url": f"sqlite:///{folder}/records.db", "prefect_api": NO_PREFECT}
    with serve(folder, **where, **patience, STAGER_WAIT="0") as door:
        yield door


def connect(door: ServedDoor) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(door.url.rpartition(":")[2])), timeout=PATIENCE)


def is_served(door: ServedDoor) -> bool:
    """Tell whether somebody who comes now, by a new connection, is answered."""
    return httpx.get(f"{door.url}/config", timeout=PATIENCE).is_success


def head(path: str = STAGE, *fields: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: door", "Content-Type: application/json", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def status_of(connection: socket.socket) -> int:
    """Return the status that is answered, 0 when the connection is closed without one."""
    words = connection.makefile("rb").readline().split()
    return int(words[1]) if words else 0


def test_clients_that_never_end_their_headers_hold_nobody_up_and_are_cut_off(strict_door: ServedDoor) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(connect(strict_door)) for _ in range(300)]
        for connection in slow:
            connection.sendall(b"POST /stage_data HTTP/1.1\r\nHost: door\r\nX-a: ")

        assert is_served(strict_door)
        assert {status_of(connection) for connection in slow} <= {0, 408}


def test_a_body_that_pauses_is_given_up(strict_door: ServedDoor) -> None:
    with connect(strict_door) as connection:
        connection.sendall(head(STAGE, "Content-Length: 1000") + b'{"data":')

        assert is_served(strict_door)
        assert status_of(connection) == 408


def test_a_body_of_a_gibibyte_is_refused_before_it_is_sent(strict_door: ServedDoor) -> None:
    with connect(strict_door) as connection:
        connection.sendall(head(STAGE, f"Content-Length: {GIB}"))

        assert status_of(connection) == 413


def test_a_body_that_does_not_say_its_length_is_refused_at_the_limit(strict_door: ServedDoor) -> None:
    before = psutil.Process(strict_door.worker()).memory_info().rss
    with connect(strict_door) as connection:
        connection.sendall(head(STAGE, "Transfer-Encoding: chunked"))
        piece = b"100000\r\n" + b"1" * MIB + b"\r\n"
        sent = 0
        with suppress(OSError):  # the door has answered and hung up
            while sent < 1024:
                connection.sendall(piece)
                sent += 1

    assert sent < 200
    assert psutil.Process(strict_door.worker()).memory_info().rss - before < 256 * MIB
    assert is_served(strict_door)


BODIES = {
    "a hundred thousand lists in one another": b"[" * 100_000,
    "as many objects": b'{"data":' * 100_000,
    "a number of a million digits": b'{"data": ' + b"9" * 1_000_000 + b"}",
    "numbers that JSON has not": b'{"data": [NaN, Infinity, -Infinity, 1e999999]}',
    "no UTF-8": b'{"data": "\xff\xfe"}',
    "UTF-16": '{"data": 1}'.encode("utf-16"),
    "a key ten thousand times": b'{"data": 1' + b', "data": 1' * 10_000 + b"}",
    "nothing": b"",
    "NULs": b"\0" * 1000,
    "__proto__": b'{"__proto__": {"data": 1}, "constructor": {"prototype": 1}}',
}


@pytest.mark.parametrize("what", BODIES)
def test_a_body_that_is_no_request_is_refused_in_words(lone_door: ServedDoor, what: str) -> None:
    answer = lone_door.client.post(STAGE, content=BODIES[what], headers={"Content-Type": "application/json"})

    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]


HEADS = {
    "an address of 20,000 bytes": (head(f"/config?{'a' * 20_000}"), {414}),
    "a header of 40,000 bytes": (head("/config", f"X-a: {'a' * 40_000}"), {431}),
    "a thousand headers": (head("/config", *(f"X-{n}: 1" for n in range(1000))), {431}),
    "two lengths": (head(STAGE, "Content-Length: 5", "Content-Length: 6"), {400}),
    "a length below nothing": (head(STAGE, "Content-Length: -1"), {400}),
    "no number as length": (head(STAGE, "Content-Length: x"), {400}),
    "a line break in a header": (b"GET /config HTTP/1.1\r\nHost: a\r\nX-a: b\rc\r\n\r\n", {400}),
    "two hosts": (b"GET /config HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", {400}),
    "no host": (b"GET /config HTTP/1.1\r\n\r\n", {400}),
    "two lengths, in lines that end with LF": (
        b"POST /stage_data HTTP/1.1\nHost: a\nContent-Length: 5\nContent-Length: 6\n\n",
        {400},
    ),
    "two hosts, in lines that end with LF": (b"GET /config HTTP/1.1\nHost: a\nHost: b\n\n", {400}),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", {0, 400}),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", {0, 400, 505}),
    "TRACE": (b"TRACE /config HTTP/1.1\r\nHost: a\r\n\r\n", {405}),
}


@pytest.mark.parametrize("what", HEADS)
def test_a_head_that_is_no_request_is_refused(strict_door: ServedDoor, what: str) -> None:
    sent, expected = HEADS[what]
    with connect(strict_door) as connection:
        connection.sendall(sent)

        assert status_of(connection) in expected
    assert is_served(strict_door)


# Words that only look like a way up; as names of a file they are harmless, and lead nowhere.
HARMLESS = {
    "encoded": "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "encoded twice": "%252e%252e%252fetc%252fpasswd",
    "two dots that are no ASCII": "\uff0e\uff0e/\u2025/etc/passwd",
    "slashes that are no ASCII": "..\u2215..\u2215etc\u2215passwd",
    "backslashes": "..\\..\\etc\\passwd",
    "right to left": "\u202egpj.exe",
    "overlong UTF-8": b"..\xc0\xaf..\xc0\xafetc".decode("utf-8", "surrogateescape"),
    "terminal codes": "\x1b[31mred\x07",
    "a line break": "a\nb",
}


def download(door: ServedDoor, path: str) -> Any:
    return door.stage("direct_download", source=path)


@pytest.mark.parametrize("what", [*ATTACKS, *HARMLESS])
def test_no_source_path_gives_away_what_is_outside(lone_door: ServedDoor, what: str) -> None:
    out = lone_door.source / "out"
    if not out.is_symlink():
        out.symlink_to("/etc")

    answer = download(lone_door, {**ATTACKS, **HARMLESS}[what])

    assert answer.status_code in {400, 403, 404, 422}
    assert "root:" not in answer.text
    assert answer.json()["detail"]


@pytest.mark.parametrize("what", ATTACKS)
@pytest.mark.parametrize("route", ["/requests/{}", "/problems/{}", "/requests/{}/", "/requests?cursor={}"])
def test_no_address_gives_away_what_is_outside(lone_door: ServedDoor, route: str, what: str) -> None:
    word = quote(ATTACKS[what].encode("utf-8", "surrogatepass"), safe="")
    answer = lone_door.client.get(route.format(word))

    assert answer.status_code in {400, 404, 422}
    assert "root:" not in answer.text


def paths(*paths: str) -> dict[str, Any]:
    # Written by hand: lone surrogates travel as their escapes.
    return {"content": json.dumps({"paths": paths}).encode(), "headers": {"Content-Type": "application/json"}}


@pytest.mark.parametrize("what", [*ATTACKS, *HARMLESS])
def test_no_path_of_a_tape_call_is_taken_for_a_file_or_gives_away_what_is_outside(
    lone_door: ServedDoor, what: str
) -> None:
    out = lone_door.source / "out"
    if not out.is_symlink():
        out.symlink_to("/etc")
    path, post = {**ATTACKS, **HARMLESS}[what], lone_door.client.post
    file = {"path": "/a.fits", "targetedMetadata": {"ska-staging": {"username": "alice"}}}
    request_id = post("/api/v1/stage", json={"files": [file]}).json()["requestId"]

    for call in (f"stage/{request_id}/cancel", f"release/{request_id}"):
        answer = post(f"/api/v1/{call}", **paths("/a.fits", path))
        assert answer.status_code == 400
        assert answer.json()["detail"]
    [about] = post("/api/v1/archiveinfo", **paths(path)).json()
    assert about["error"]
    assert "locality" not in about
    assert lone_door.request(request_id)["status"] == "submitted"


NAMES = ["../bob", "alice\0", "alice/../bob", "\u0430lice", "alice\u200b", "-rf", "$(id)", "root\n", "ALICE", "*", "%"]


@pytest.mark.parametrize("username", NAMES, ids=[ascii(name) for name in NAMES])
def test_a_name_that_only_looks_like_a_users_is_nobodys(lone_door: ServedDoor, username: str) -> None:
    assert lone_door.stage(username=username).status_code == 400


def test_thousands_of_query_parameters_are_no_burden(lone_door: ServedDoor) -> None:
    assert lone_door.client.get(f"/requests?{'&'.join(['a'] * 5000)}").status_code == 422


def test_what_is_refused_is_one_line_of_the_log_whatever_it_says(lone_door: ServedDoor) -> None:
    lone_door.stage(source='a\n{"event": "forged"}', username="nobody\nforged")

    lines = [json.loads(line) for line in Path(lone_door.log_file).read_text().splitlines()]
    assert lines
    assert "forged" not in {line["event"] for line in lines}


FORGED = "a\n[error] forged\x1b[2J\x9b2J\u2028\u202e"
ORDER: dict[str, object] = {
    "method": "local_copy",
    "username": "alice",
    "items": [{"source": "a.fits", "destination": "a.fits"}],
}
FORGERIES: dict[str, dict[str, object]] = {
    "method": ORDER | {"method": FORGED},
    "user": ORDER | {"username": FORGED},
    "source": ORDER | {"items": [{"source": f"{FORGED}\0", "destination": "a.fits"}]},
    "destination": ORDER | {"items": [{"source": "a.fits", "destination": f"{FORGED}\0"}]},
    "what is to be done with what is there": ORDER | {"on_conflict": FORGED},
    "a field that there is not": ORDER | {FORGED: FORGED},
}


@pytest.mark.parametrize("body", FORGERIES.values(), ids=FORGERIES)
def test_what_a_refusal_repeats_is_one_printable_line(lone_door: ServedDoor, body: dict[str, object]) -> None:
    answer = lone_door.client.post("/requests", json=body)
    assert answer.status_code in {400, 403, 422}
    detail = answer.json()["detail"]
    said = [detail] if isinstance(detail, str) else [str(part) for one in detail for part in (*one["loc"], one["msg"])]
    assert [line for line in said if not line.isprintable()] == []


def test_no_answer_is_a_file_that_a_spreadsheet_opens(lone_door: ServedDoor) -> None:
    operations = [
        one for verbs in lone_door.client.get("/openapi.json").json()["paths"].values() for one in verbs.values()
    ]
    kinds = {kind for one in operations for answer in one["responses"].values() for kind in answer.get("content", {})}
    assert kinds
    assert [kind for kind in kinds if "csv" in kind or "sheet" in kind or "tab-sep" in kind] == []
