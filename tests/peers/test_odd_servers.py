"""Servers that mean harm, or are broken: what they say costs neither memory nor time without bound, and is told."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress

import pytest
from pydantic import SecretStr

from stager.errors import Cancelled, HomeFull, NotebookStarting, PeerFault, PeerStalled
from stager.peers.connections import checked_while_waiting, given_up_after, left_once
from stager.peers.http import Calls
from stager.peers.jupyter import Contents, Hub, ServerState, Uploaded, lay_out, publish, seal, start
from stager.peers.jupyter.listing import listed
from stager.peers.jupyter.progress import Progress, events
from tests.patience import PATIENCE
from tests.peers.listener import Listener
from tests.peers.odd_server import OddCall, OddServer, Say, hangs_up, is_kernel, says

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
FOLDER = {
    "name": "a",
    "type": "directory",
    "writable": True,
    "size": None,
    "content": [
        {"name": "a", "type": "directory", "writable": True, "size": None},
        {"name": "b", "type": "file", "writable": True, "size": 1},
    ],
}
FILE = {"name": "a", "type": "file", "writable": True, "size": 6}
GONE = says({"message": "gone"}, "404 Not Found")
DEEP = "[" * 60_000


@pytest.fixture
def odd() -> Iterator[OddServer]:
    with OddServer().running() as odd:
        yield odd


@pytest.fixture
def impatient() -> Iterator[Calls]:
    with Calls(stall_seconds=0.5) as calls:
        yield calls


@pytest.fixture
def contents(odd: OddServer, calls: Calls) -> Contents:
    """The files of the odd server."""
    return Contents(calls, ServerState(username="a", name="", url=odd.url), SecretStr("token"))


def test_a_compressed_answer_is_not_asked_for_and_not_unpacked(odd: OddServer, contents: Contents) -> None:
    bomb = gzip.compress(gzip.compress(bytes(64 << 20)))
    odd.answers = {"GET": says(bomb, header="Content-Encoding: gzip, gzip\r\n")}
    tracemalloc.start()
    try:
        with pytest.raises(PeerFault, match="compressed"):
            contents.look("a")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20
    assert b"accept-encoding: identity\r\n" in odd.heads[0].lower()


def test_a_listing_may_be_long_and_nothing_else(odd: OddServer, contents: Contents) -> None:
    odd.answers = {"GET": says(FOLDER | {"content": [FILE] * 40_000})}
    assert len(contents.list("a")) == 40_000
    with pytest.raises(PeerFault, match="more than 1048576 bytes"):
        contents.look("a")


@pytest.mark.parametrize("entry", [b"{}", b"[]", b"1", b'"a"', b'{"name":"","type":"","writable":0}', b"{"])
def test_a_listing_costs_no_more_memory_than_what_it_tells(odd: OddServer, contents: Contents, entry: bytes) -> None:
    begun, end = json.dumps(FOLDER | {"content": 0}).encode().split(b"0}")[0], b"]}"
    odd.answers = {"GET": says(begun + b"[" + b",".join([entry] * ((16 << 20) // len(entry))) + end)}
    tracemalloc.start()
    try:
        with pytest.raises(PeerFault):
            contents.list("a")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 48 << 20


@pytest.mark.parametrize("said", [b"{}", b'{"content": {}}', b'{"content": [', b'{"content": [\xff', DEEP.encode()])
def test_a_listing_that_is_none_is_told(odd: OddServer, contents: Contents, said: bytes) -> None:
    odd.answers = {"GET": says(said)}
    with pytest.raises(PeerFault, match="its listing of a directory cannot be read"):
        contents.list("a")


@pytest.mark.parametrize("piece_bytes", [1, 7, 1000])
def test_a_listing_is_read_as_it_comes(piece_bytes: int) -> None:
    inside = [FILE | {"name": name, "content": None} for name in ('"content": [', "é\\", "😀", "]}")]
    said = json.dumps(FOLDER | {"content": inside, "format": "json"}, ensure_ascii=False, indent=1).encode()
    pieces = iter([said[at : at + piece_bytes] for at in range(0, len(said), piece_bytes)])
    assert list(listed(pieces, "The server")) == inside
    assert next(pieces, None) is None


def test_no_cookie_is_kept(odd: OddServer, contents: Contents) -> None:
    odd.answers = {"GET": says(FILE, header="Set-Cookie: _xsrf=a; Path=/\r\n")}
    for _ in range(2):
        contents.look("a")
    assert not any(b"cookie" in head.lower() for head in odd.heads)


def test_a_hub_that_checks_a_server_for_ever_is_not_waited_for_and_who_can_end_it_is_told(
    odd: OddServer, calls: Calls
) -> None:
    server = {"ready": False, "pending": "check", "url": "/user/a/"}
    odd.answers = {"GET": says({"name": "a", "servers": {"": server}})}
    with pytest.raises(NotebookStarting, match=r"its hub is at: check; .* whoever runs the hub"):
        start(Hub(odd.url, SecretStr("token"), calls), "a", within_seconds=0.1, on_progress=lambda _: None)
    assert not any(head.startswith(b"POST") for head in odd.heads)


def early_hints(call: OddCall) -> None:
    call.send_without_end(b"HTTP/1.1 103 Early Hints\r\n\r\n", pause=0.01)


def head_in_drops(call: OddCall) -> None:
    call.connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    call.send_without_end(b"x", pause=0.05)


def content_in_drops(call: OddCall) -> None:
    call.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    call.send_without_end(b" ", pause=0.05)


@pytest.mark.parametrize("say", [early_hints, head_in_drops, content_in_drops])
def test_an_answer_without_end_is_given_up(odd: OddServer, impatient: Calls, say: Say) -> None:
    odd.answers = {"GET": say}
    with pytest.raises(PeerStalled):
        impatient.ask("GET", odd.url, peer="The server", headers={})


def test_who_waits_for_all_answers_together_gives_up_by_their_time_and_hears_that_none_is_wanted(
    odd: OddServer, calls: Calls
) -> None:
    def say(call: OddCall) -> None:
        call.ended.wait()

    odd.answers = {"GET": say}

    def cancel() -> None:
        if odd.heads:
            raise Cancelled

    with pytest.raises(Cancelled), checked_while_waiting(cancel), given_up_after(PATIENCE, "The server"):
        calls.ask("GET", odd.url, peer="The server", headers={})
    with pytest.raises(PeerStalled, match=r"was not done within 0\.5 s"), given_up_after(0.5, "The server"):
        calls.ask("GET", odd.url, peer="The server", headers={}, stall_seconds=PATIENCE)


class SippingServer(Listener):
    """Takes what is sent a little at a time."""

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while not self.ended.wait(0.05) and connection.recv(1 << 10):
                pass


def test_a_server_that_sips_what_is_sent_is_not_waited_for_without_end(impatient: Calls) -> None:
    is_left, body = threading.Event(), bytes(16 << 20)
    with SippingServer().running() as server:
        url = f"http://127.0.0.1:{server.port}/"
        with pytest.raises(PeerStalled):
            impatient.ask("PUT", url, peer="The server", headers={}, content=[body])
        threading.Timer(0.5, is_left.set).start()
        with pytest.raises(Cancelled), left_once(is_left.is_set):
            impatient.ask("PUT", url, peer="The server", headers={}, content=[body], stall_seconds=PATIENCE)


def test_progress_without_end_is_followed_for_as_long_as_it_may_take(odd: OddServer, calls: Calls) -> None:
    def say(call: OddCall) -> None:
        call.connection.sendall(EVENTS + b'data: {"progress": 1, "message": "so far"}\n\n')
        call.send_without_end(b"\n", pause=0.05)

    odd.answers = {"GET": say}
    with (
        pytest.raises(PeerStalled, match="does not come to an end"),
        calls.stream("GET", odd.url, peer="The hub", headers={}, within_seconds=0.5) as answer,
    ):
        list(events(answer))


def test_a_line_of_progress_without_end_is_not_kept(odd: OddServer, calls: Calls) -> None:
    def say(call: OddCall) -> None:
        call.connection.sendall(EVENTS)
        call.send_without_end(b"data: " * 1000)

    odd.answers = {"GET": say}
    with calls.stream("GET", odd.url, peer="The hub", headers={}) as answer:
        assert list(events(answer)) == []


@pytest.mark.parametrize("said", [f'data: {{"message": {DEEP}', "data: []", "data: 1", 'data: "ready"'])
def test_progress_that_is_none_is_passed_over(odd: OddServer, calls: Calls, said: str) -> None:
    lines = [said, 'data: {"progress": NaN, "message": {"a": 1}}', 'data: {"progress": 5, "message": "b"}']
    text = "\r\n".join([*lines, 'data: {"ready": true}', ""]).encode()
    odd.answers = {"GET": lambda call: call.connection.sendall(EVENTS + text)}
    with calls.stream("GET", odd.url, peer="The hub", headers={}) as answer:
        assert list(events(answer)) == [Progress(0, ""), Progress(5, "b")]


def test_a_folder_without_end_is_not_removed_for_ever(odd: OddServer, contents: Contents) -> None:
    odd.answers = {"GET": says(FOLDER), "DELETE": GONE}
    with pytest.raises(PeerFault, match="more in a directory than is removed at once"):
        contents.delete("a")


def test_more_files_than_there_may_be_are_not_removed(
    odd: OddServer, contents: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stager.peers.jupyter.contents.MAX_REMOVED", 3)
    odd.answers = {"GET": says(FOLDER | {"content": [FILE] * 9}), "DELETE": GONE}
    with pytest.raises(PeerFault, match="more in a directory than is removed at once"):
        contents.delete("a")
    assert not any(head.startswith(b"DELETE") for head in odd.heads)


def test_a_removal_is_stopped_by_whoever_wants_it(odd: OddServer, contents: Contents) -> None:
    odd.answers = {"GET": says(FOLDER), "DELETE": GONE}

    def cancel() -> None:
        if len(odd.heads) > 5:
            raise Cancelled

    with pytest.raises(Cancelled):
        contents.delete("a", on_each=cancel)
    assert len(odd.heads) == 6


@pytest.mark.parametrize("size", ["Infinity", "-Infinity", "NaN", "1e999", "9" * 5000, "[]", DEEP])
def test_a_size_that_is_none_is_a_fault(odd: OddServer, contents: Contents, size: str) -> None:
    odd.answers = {"GET": says(f'{{"name": "a", "type": "file", "writable": true, "size": {size}}}'.encode())}
    with pytest.raises(PeerFault):
        contents.look("a")


@pytest.mark.parametrize("checksum", [{}, {"hash": None, "hash_algorithm": None}], ids=["no word of it", "none"])
def test_anothers_file_of_the_same_size_is_not_taken_for_ours_where_no_checksum_tells(
    odd: OddServer, contents: Contents, checksum: dict[str, None]
) -> None:
    part = iter([says(FILE), GONE])

    def answer_of_part(call: OddCall) -> None:
        next(part)(call)

    odd.answers = {
        "PATCH": hangs_up,
        r"GET /api/contents/final\?": says(FILE | checksum),
        r"GET /api/contents/part\?": answer_of_part,
    }
    with pytest.raises(PeerFault, match="the connection broke"):
        publish(contents, Uploaded(path="part", size_bytes=6, sha256="0" * 64, is_verified=False), "final")


KERNELS = {
    "GET /api/kernelspecs": says({"kernelspecs": {"p": {"spec": {"language": "python"}}}}),
    "POST /api/kernels": says({"id": "1-2"}, "201 Created"),
    "DELETE /api/kernels": says(b"", "204 No Content"),
    "GET /api/contents": says(FILE | {"writable": False}),
}
DONE = {"status": "ok", "user_expressions": {"done": {"status": "ok"}}}


@pytest.mark.parametrize(
    "reply",
    [
        DONE | {"user_expressions": None},
        DONE | {"user_expressions": {"done": None}},
        DONE | {"user_expressions": [1]},
        {"status": "error", "evalue": {"a": "b"}},
        {},
    ],
)
def test_a_kernels_reply_that_is_none_is_told(odd: OddServer, contents: Contents, reply: dict[str, object]) -> None:
    odd.answers = {"GET /api/kernels/": is_kernel(reply), **KERNELS}
    assert seal(contents, "a") == "its kernel could not do it: no reason is given"


@pytest.mark.parametrize("before", [DEEP, "[]", "1", '{"header": null}'])
def test_what_a_kernel_says_beside_its_reply_is_passed_over(odd: OddServer, contents: Contents, before: str) -> None:
    odd.answers = {"GET /api/kernels/": is_kernel(DONE, before), **KERNELS}
    assert seal(contents, "a") is None


@pytest.mark.parametrize(
    "data", [{}, {"text/plain": 1}, {"text/plain": "'a b c'"}, {"text/plain": f"'{'0' * 64} 1 {'9' * 99}'"}]
)
def test_what_a_kernel_tells_of_files_that_is_none_is_a_fault(
    odd: OddServer, contents: Contents, data: dict[str, object]
) -> None:
    reply = {"status": "ok", "user_expressions": {"done": {"status": "ok", "data": data}}}
    odd.answers = {"GET /api/kernels/": is_kernel(reply), **KERNELS}
    with pytest.raises(PeerFault, match="tells of files in a way that is not known"):
        lay_out(contents, "bundle", "top", [("a", 1)])


def test_a_home_that_is_full_is_told_by_a_kernel_too(odd: OddServer, contents: Contents) -> None:
    reply = {"status": "error", "evalue": "[Errno 122] Disk quota exceeded"}
    odd.answers = {"GET /api/kernels/": is_kernel(reply), **KERNELS}
    with pytest.raises(HomeFull, match="quota exceeded"):
        lay_out(contents, "bundle", "top", [("a", 1)])


@pytest.mark.parametrize("kernel_id", ["a\x01b", "..", "a/b", "", "é", None, 1])
def test_a_kernel_with_a_name_that_is_none_is_told(odd: OddServer, contents: Contents, kernel_id: object) -> None:
    odd.answers = KERNELS | {"POST /api/kernels": says({"id": kernel_id}, "201 Created")}
    assert "names its kernel in a way that is not known" in str(seal(contents, "a"))


def test_a_language_that_is_none_is_passed_over(odd: OddServer, contents: Contents) -> None:
    odd.answers = {"GET /api/kernelspecs": says({"kernelspecs": {"p": {"spec": {"language": 1}}}})}
    assert seal(contents, "a") == "the notebook server has no Python kernel"


def test_the_authorities_that_the_system_trusts_are_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    with Calls() as calls:
        assert _authorities(calls.trust) == _authorities(ssl.create_default_context())


def _authorities(trust: ssl.SSLContext) -> list[str]:
    return sorted(map(str, trust.get_ca_certs()))
