"""What breaks between us and a real hub: the right error, nothing half that looks whole, and once more ends right."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from stager.errors import (
    Cancelled,
    DestinationReadOnly,
    HomeFull,
    NotebookNotRunning,
    NotebookTokenRefused,
    PeerBodyLimit,
    PeerBusy,
    PeerFault,
    PeerNotReachable,
    PeerRefused,
    PeerStalled,
    StagingError,
)
from stager.peers.connections import checked_while_waiting
from stager.peers.http import Calls
from stager.peers.jupyter import Contents, Hub, publish, seal, start, stop, upload
from tests.patience import PATIENCE
from tests.peers.conftest import opened, shown
from tests.peers.faulty_proxy import (
    Fault,
    FaultyProxy,
    answered,
    cut_on_the_way_back,
    cut_on_the_way_in,
    dripping,
    endless,
    reset,
    silent,
    slow,
)
from tests.peers.running_hub import RunningHub
from tests.peers.tls_front import TlsFront

PIECE = 30_000
CONTENT = os.urandom(3 * PIECE + 1)
STALL_SECONDS = 30.0
PAGE = b"<html><h1>Sorry</h1></html>"
FULL = b'{"message": "Unexpected error while saving file: a [Errno 28] No space left on device", "reason": null}'
JSON = "application/json"

# Whoever answers instead of the server, and what that is to us.
ANSWERS: dict[str, tuple[Fault, type[StagingError], str]] = {
    "429": (answered("429 Too Many Requests", PAGE, header="Retry-After: 7\r\n"), PeerBusy, "too much to do"),
    "500": (answered("500 Internal Server Error", PAGE), PeerFault, "500 Internal Server Error"),
    "502": (answered("502 Bad Gateway", PAGE), PeerFault, "502 Bad Gateway, with text/html"),
    "503": (answered("503 Service Unavailable", PAGE), PeerFault, "503 Service Unavailable"),
    "truncated JSON": (answered("200 OK", b'{"name": "a', JSON), PeerFault, "cannot be read"),
    "no object": (answered("200 OK", b"[]", JSON), PeerFault, "no JSON object"),
    "other object": (answered("200 OK", b"{}", JSON), PeerFault, "a way that is not known"),
    "a page": (answered("200 OK", PAGE), PeerFault, "text/html instead of JSON"),
}
BROKEN: dict[str, tuple[Fault, type[StagingError], str]] = {
    "reset": (reset, PeerFault, "the connection broke"),
    "cut on the way in": (cut_on_the_way_in(5), PeerFault, "the connection broke"),
    "answer lost": (cut_on_the_way_back(0), PeerFault, "the connection broke"),
    "answer cut": (cut_on_the_way_back(300), PeerFault, "the connection broke"),
    "silent": (silent, PeerStalled, "not a byte passed for 1 s"),
}
OF_CONTENTS: dict[str, tuple[Fault, type[StagingError], str]] = {
    "stopped": (answered("302 Found", b"", header="Location: /hub/user/alice\r\n"), NotebookNotRunning, "not running"),
    "424": (answered("424 Failed Dependency", PAGE), NotebookNotRunning, "not running"),
    "403 of the hub": (answered("403 Forbidden", PAGE), NotebookNotRunning, "not running"),
    "403 of the server": (answered("403 Forbidden", b'{"message": "Forbidden"}', JSON), NotebookTokenRefused, "token"),
    "no right": (answered("403 Forbidden", b'{"message": "Permission denied: a"}', JSON), DestinationReadOnly, "a"),
    "full": (answered("500 Internal Server Error", FULL, JSON), HomeFull, "No space left on device"),
    "507": (answered("507 Insufficient Storage", PAGE), HomeFull, "507"),
}
AT_A_LOOK = BROKEN | ANSWERS | {"other object": (ANSWERS["other object"][0], PeerRefused, "it shows no servers")}
IN_TRANSFER = BROKEN | ANSWERS | OF_CONTENTS


class Behind:
    """A hub and a notebook server's files, asked through a proxy that breaks calls."""

    def __init__(self, proxy: FaultyProxy, hub: Hub, contents: Contents) -> None:
        self.proxy = proxy
        self.hub = hub
        self.contents = contents

    def wait_shortly(self) -> None:
        """Let the next call be given up soon."""
        self.hub.calls.stall_seconds = 1

    def deliver(self, folder: str, source: Path, *, breaks: str = "") -> None:
        """Bring a file to ``final`` in a folder, by a temporary name of its own, and wait shortly for what breaks."""
        self.hub.calls.stall_seconds = STALL_SECONDS
        ends = {"chunk": PIECE, "hash": len(CONTENT)}
        arrived = 0

        def on_bytes(count: int) -> None:
            nonlocal arrived
            arrived += count
            if arrived == ends.get(breaks):
                self.wait_shortly()

        part = f"{folder}/part-{uuid.uuid4().hex}"
        with opened(source, CONTENT) as descriptor:
            uploaded = upload(self.contents, descriptor, part, source_name="source", on_bytes=on_bytes)
        if breaks == "rename":
            self.wait_shortly()
        publish(self.contents, uploaded, f"{folder}/final")


@pytest.fixture(scope="module")
def proxy(running_hub: RunningHub) -> Iterator[FaultyProxy]:
    with FaultyProxy.before(running_hub.url).running() as proxy:
        yield proxy


@pytest.fixture
def behind(proxy: FaultyProxy, running_hub: RunningHub, token: SecretStr) -> Iterator[Behind]:
    with Calls(stall_seconds=STALL_SECONDS) as calls:
        secret = SecretStr(running_hub.tokens["staging"])
        hub = Hub(proxy.in_front_of(running_hub.url), secret, calls)
        yield Behind(proxy, hub, Contents(calls, hub.look("alice"), token, piece_bytes=PIECE))


@pytest.mark.parametrize("phase", ["chunk", "hash", "rename"])
@pytest.mark.parametrize("name", IN_TRANSFER)
def test_a_transfer_that_breaks_leaves_nothing_that_looks_whole_and_ends_right_done_again(
    *, behind: Behind, folder: str, on_disk: Path, tmp_path: Path, phase: str, name: str
) -> None:
    fault, error, words = IN_TRANSFER[name]
    behind.proxy.break_calls(phase, fault, spared=1 if phase == "chunk" else 0)
    done_before = behind.proxy.faults_done
    if phase == "rename" and "answer" in name:  # it is found to be done
        behind.deliver(folder, tmp_path / "source")
    else:
        with pytest.raises(error, match=words):
            behind.deliver(folder, tmp_path / "source", breaks=phase if name == "silent" else "")
        assert not (on_disk / "final").exists()
        behind.deliver(folder, tmp_path / "source")
    assert behind.proxy.faults_done == done_before + 1
    assert (on_disk / "final").read_bytes() == CONTENT


@pytest.mark.parametrize("name", sorted(AT_A_LOOK))
def test_a_look_at_the_hub_that_breaks_is_an_error_and_the_next_one_is_none(behind: Behind, name: str) -> None:
    fault, error, words = AT_A_LOOK[name]
    behind.proxy.break_calls("look", fault)
    if name == "silent":
        behind.wait_shortly()
    with pytest.raises(error, match=words):
        behind.hub.look("alice")
    behind.hub.calls.stall_seconds = STALL_SECONDS
    assert behind.hub.look("alice").is_ready


def test_an_answer_without_end_is_not_waited_for(behind: Behind) -> None:
    behind.proxy.break_calls("look", endless)
    with pytest.raises(PeerFault, match="more than"):
        behind.hub.look("alice")
    behind.hub.calls.stall_seconds = 0.25
    behind.proxy.break_calls("look", dripping)
    with pytest.raises(PeerStalled):
        behind.hub.look("alice")


def test_an_answer_is_waited_for_no_longer_than_it_is_wanted(behind: Behind) -> None:
    def check() -> None:
        if behind.proxy.faults_done > done_before:
            raise Cancelled

    done_before = behind.proxy.faults_done
    behind.hub.calls.stall_seconds = 2 * PATIENCE
    behind.proxy.break_calls("look", silent)
    with pytest.raises(Cancelled), checked_while_waiting(check):
        behind.hub.look("alice")
    assert behind.hub.look("alice").is_ready


@pytest.mark.parametrize("name", [name for name in BROKEN | ANSWERS if name not in {"silent", "429"}])
def test_a_start_is_judged_by_the_servers_state_where_its_answer_is_lost_or_anothers(behind: Behind, name: str) -> None:
    behind.proxy.break_calls("start", (BROKEN | ANSWERS)[name][0])
    assert start(behind.hub, "alice", within_seconds=PATIENCE, on_progress=lambda _: None).is_ready
    assert behind.proxy.faults_done


def test_a_start_ends_ready_where_its_progress_cannot_be_followed(behind: Behind) -> None:
    behind.proxy.break_calls("progress", reset, times=1000)
    assert start(behind.hub, "dave", within_seconds=PATIENCE, on_progress=lambda _: None).is_ready
    stop(behind.hub, "dave", within_seconds=PATIENCE)


@pytest.mark.parametrize(
    ("name", "words"), [("reset", "the connection broke"), ("a page", "in its stead"), ("502", "502 Bad Gateway")]
)
def test_a_start_that_never_came_to_the_hub_is_no_start(behind: Behind, name: str, words: str) -> None:
    behind.proxy.break_calls("start", (BROKEN | ANSWERS)[name][0])
    with pytest.raises(PeerFault, match=words):
        start(behind.hub, "nobody-started-me", within_seconds=PATIENCE, on_progress=lambda _: None)
    assert not behind.hub.look("nobody-started-me").pending


def test_a_hub_that_starts_no_more_says_when_to_ask_again(behind: Behind) -> None:
    behind.proxy.break_calls("start", ANSWERS["429"][0])
    with pytest.raises(PeerBusy) as raised:
        start(behind.hub, "alice", within_seconds=PATIENCE, on_progress=lambda _: None)
    assert (raised.value.retryable, raised.value.retry_after) == (True, 7)


@pytest.mark.parametrize("fault", [answered("413 Request Entity Too Large", PAGE), reset], ids=["told", "cut"])
def test_a_first_piece_that_is_too_much_is_sent_in_smaller_ones(
    *, behind: Behind, folder: str, on_disk: Path, tmp_path: Path, fault: Fault
) -> None:
    content = os.urandom(1 << 20)
    behind.contents.piece_bytes = 4 << 20
    behind.proxy.break_calls("chunk", fault)
    with opened(tmp_path / "source", content) as source:
        upload(behind.contents, source, f"{folder}/part", source_name="source", on_bytes=lambda _: None)
    assert behind.contents.piece_bytes == 700 << 10
    assert (on_disk / "part").read_bytes() == content


def test_where_even_small_pieces_are_too_much_that_is_said(
    behind: Behind, folder: str, on_disk: Path, tmp_path: Path
) -> None:
    behind.contents.piece_bytes = 4 << 20
    behind.proxy.break_calls("chunk", answered("413 Request Entity Too Large", PAGE), times=2)
    with opened(tmp_path / "source", os.urandom(1 << 20)) as source, pytest.raises(PeerBodyLimit, match="413"):
        upload(behind.contents, source, f"{folder}/part", source_name="source", on_bytes=lambda _: None)
    assert shown(on_disk) == []
    assert behind.contents.piece_bytes == 4 << 20


def test_a_piece_that_creeps_has_stalled(behind: Behind, folder: str, on_disk: Path, tmp_path: Path) -> None:
    behind.contents.piece_bytes = 16 << 20
    with opened(tmp_path / "source", b"") as source:
        os.truncate(tmp_path / "source", 16 << 20)
        behind.proxy.break_calls("chunk", slow)
        behind.wait_shortly()
        with pytest.raises(PeerStalled):
            upload(behind.contents, source, f"{folder}/part", source_name="source", on_bytes=lambda _: None)
    assert shown(on_disk) == []


def test_a_kernel_that_cannot_be_reached_is_said(behind: Behind, folder: str, on_disk: Path) -> None:
    (on_disk / "a").write_bytes(b"")
    behind.proxy.break_calls("kernel", reset)
    assert "kernel does not answer" in str(seal(behind.contents, f"{folder}/a"))
    assert (on_disk / "a").stat().st_mode & 0o222


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:9/", "nobody listens there"),
        ("http://hub.invalid/", "its name leads to no address"),
        ("{https}", "no TLS is spoken there"),
        ("{tls}", "its certificate is not trusted"),
    ],
)
def test_a_hub_that_cannot_be_reached_is_told_with_its_address(
    *, calls: Calls, running_hub: RunningHub, tls_front: TlsFront, url: str, words: str
) -> None:
    address = url.format(https=running_hub.url.replace("http:", "https:"), tls=f"https://127.0.0.1:{tls_front.port}/")
    with pytest.raises(PeerNotReachable, match=words) as raised:
        Hub(address, SecretStr("secret"), calls).look("alice")
    assert address.rstrip("/") in raised.value.message
    assert raised.value.retryable
