"""Whichever call to a real Ceph breaks, and however: nothing half is there, and the error says what to do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from stager.errors import (
    Cancelled,
    ClockSkewed,
    ConfigurationError,
    DestinationExists,
    PeerBusy,
    PeerFault,
    PeerRefused,
    PeerStalled,
    StagingError,
    StoreKeysExpired,
)
from stager.peers.connections import left_once
from stager.peers.s3.abilities import abilities_of
from stager.peers.s3.bucket import Bucket
from stager.peers.s3.single import put
from tests.peers.faulty_proxy import (
    Call,
    Fault,
    FaultyProxy,
    answered,
    cut_on_the_way_back,
    cut_on_the_way_in,
    done_and_then,
    reset,
    silent,
)
from tests.peers.running_rclone import RunningRclone
from tests.peers.running_rgw import RunningRgw
from tests.peers.s3.conftest import (
    LEAST_PART_BYTES,
    brought,
    connection_to,
    content_of,
    hurried,
    random_bytes,
    with_prefix,
)

SMALL, LARGE = 1000, LEAST_PART_BYTES + 1000
XML = "application/xml"
# Phases of bringing a small file, and a large one.
PHASES = [("object", SMALL), ("upload", LARGE), ("part", LARGE), ("completion", LARGE)]
CALLS = [*PHASES[1:], ("look at object", LARGE), ("tags", LARGE), ("content", LARGE)]


def said(code: str, status: str, header: str = "") -> Fault:
    """Return a fault: the store answers so."""
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>Words</Message></Error>'
    return answered(status, body.encode(), XML, header)


BREAKS: dict[str, Fault] = {
    "reset": reset,
    "cut on the way in": cut_on_the_way_in(500),
    "cut before the answer": cut_on_the_way_back(0),
    "cut in the answer's head": cut_on_the_way_back(20),
    "truncated XML": answered("200 OK", b"<?xml version='1.0'?><Compl", XML),
    "a page": answered("502 Bad Gateway", b"<html>Bad Gateway", "text/html"),
    "500": said("InternalError", "500 Internal Server Error"),
    "503": said("SlowDown", "503 Service Unavailable", "Retry-After: 1\r\n"),
}
# Every way at the call that carries content, and the ways that differ at each other.
ONCE = [("object", SMALL, name) for name in BREAKS] + [
    (phase, size_bytes, name)
    for phase, size_bytes in CALLS
    for name in ("reset", "cut before the answer", "truncated XML")
    if (phase, name) not in {("look at object", "truncated XML"), ("tags", "truncated XML")}  # such have no body
]
# What no other try mends.
ENDS: dict[str, tuple[Fault, type[StagingError], str]] = {
    "expired": (said("ExpiredToken", "400 Bad Request"), StoreKeysExpired, "takes our temporary keys no more"),
    "skewed": (said("RequestTimeTooSkewed", "403 Forbidden"), ClockSkewed, "has another time than we"),
    "denied": (said("AccessDenied", "403 Forbidden"), PeerRefused, "AccessDenied: Words .403., of s3://staging/"),
    "region": (said("PermanentRedirect", "301 Moved"), ConfigurationError, "its endpoint or region is another"),
}


@dataclass
class Behind:
    """A bucket of Ceph's behind a proxy that breaks calls."""

    proxy: FaultyProxy
    bucket: Bucket

    def bring(self, content: bytes, *, on_bytes: Callable[[int], None] = lambda _: None) -> str:
        return brought(self.bucket, content, "a", on_bytes=on_bytes).attempt

    @property
    def left(self) -> list[str]:
        """What is there, and parts."""
        prefix = f"{self.bucket.prefix}/"
        parts = [one.key for one in self.bucket.unfinished(prefix)]
        return [*(one.key for one in self.bucket.list(prefix)), *parts]


@pytest.fixture(scope="module")
def shared_behind(rgw: RunningRgw) -> Iterator[Behind]:
    with FaultyProxy("127.0.0.1", rgw.plain_port).running() as proxy:
        endpoint = f"http://127.0.0.1:{proxy.port}"
        with connection_to(rgw, endpoint=endpoint, stall_seconds=3).opened() as bucket:
            abilities_of(hurried(bucket))
            yield Behind(proxy, bucket)


@pytest.fixture
def behind(shared_behind: Behind) -> Behind:
    with_prefix(hurried(shared_behind.bucket))
    shared_behind.proxy.break_calls("object", reset, times=0)
    shared_behind.proxy.faults_done = 0
    return shared_behind


@pytest.mark.parametrize(("phase", "size_bytes", "name"), ONCE)
def test_a_call_that_breaks_once_is_done_again_and_all_is_right(
    behind: Behind, phase: str, size_bytes: int, name: str
) -> None:
    content = random_bytes(size_bytes)
    behind.proxy.break_calls(phase, BREAKS[name])
    behind.bring(content)
    key = f"{behind.bucket.prefix}/a"
    assert (behind.proxy.faults_done, content_of(behind.bucket, key)) == (1, content)
    # Of an upload whose beginning came to no answer nobody knows whose it is; it has no parts.
    assert behind.left == ([key, key] if (phase, name) == ("upload", "cut before the answer") else [key])


@pytest.mark.parametrize("name", ["reset", "a page", "truncated XML", "500"])
@pytest.mark.parametrize(("phase", "size_bytes"), [("object", SMALL), ("part", LARGE)])
def test_a_call_that_breaks_for_good_leaves_nothing(behind: Behind, phase: str, size_bytes: int, name: str) -> None:
    behind.proxy.break_calls(phase, BREAKS[name], times=1000)
    with pytest.raises(PeerFault) as raised:
        behind.bring(random_bytes(size_bytes))
    assert raised.value.retryable
    assert behind.left == []


def test_a_store_that_has_too_much_to_do_is_left_alone_for_as_long_as_it_asks(behind: Behind) -> None:
    behind.proxy.break_calls("object", BREAKS["503"])
    began = time.monotonic()
    behind.bring(b"")
    assert time.monotonic() - began >= 1
    behind.proxy.break_calls("deletion", BREAKS["503"], times=2)
    behind.bucket.pace.delays_seconds = (0.01,)
    with pytest.raises(PeerBusy, match=r"too much to do: SlowDown: Words .503., of s3://staging/") as raised:
        behind.bucket.delete(f"{behind.bucket.prefix}/a")
    assert raised.value.retry_after == 1


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize(("phase", "size_bytes"), PHASES)
def test_what_no_other_try_mends_is_told_at_once_and_leaves_nothing(
    behind: Behind, phase: str, size_bytes: int, name: str
) -> None:
    fault, kind, words = ENDS[name]
    behind.proxy.break_calls(phase, fault)
    with pytest.raises(kind, match=words):
        behind.bring(random_bytes(size_bytes))
    assert (behind.proxy.faults_done, behind.left) == (1, [])


@pytest.mark.parametrize("name", ["cut before the answer", "cut in the answer's head"])
def test_an_object_whose_answers_are_all_lost_is_known_to_be_ours(behind: Behind, name: str) -> None:
    behind.proxy.break_calls("object", BREAKS[name], times=1000)
    attempt = behind.bring(b"mine")
    found = behind.bucket.look(f"{behind.bucket.prefix}/a")
    assert found
    assert found.attempt == attempt


def test_what_another_writes_while_an_answer_is_lost_is_not_taken_for_ours(behind: Behind, ceph: Bucket) -> None:
    def replace() -> None:
        put(ceph, f"{behind.bucket.prefix}/a", b"another's", replace=True)

    behind.proxy.break_calls("object", done_and_then(replace))
    with pytest.raises(DestinationExists):
        behind.bring(b"mine")
    assert content_of(ceph, f"{behind.bucket.prefix}/a") == b"another's"


def test_of_an_upload_that_came_to_no_end_for_certain_the_parts_stay(behind: Behind) -> None:
    behind.proxy.break_calls("completion", BREAKS["500"], times=1000)
    with pytest.raises(PeerFault):
        behind.bring(random_bytes(LARGE))
    [left] = behind.bucket.unfinished(f"{behind.bucket.prefix}/")
    assert behind.bucket.abort(left.key, left.upload_id)
    assert behind.left == []


@pytest.mark.parametrize(("phase", "size_bytes"), [("object", SMALL), ("part", LARGE)])
def test_a_store_that_says_nothing_has_stalled(behind: Behind, phase: str, size_bytes: int) -> None:
    behind.proxy.break_calls(phase, silent, times=1000)
    behind.bucket.pace.delays_seconds = (0.01,)
    with pytest.raises(PeerStalled):
        behind.bring(random_bytes(size_bytes))
    assert behind.left == []


def test_a_cancellation_ends_an_upload_while_a_part_is_under_way(behind: Behind) -> None:
    is_cancelled = threading.Event()

    def cancel(call: Call) -> None:
        is_cancelled.set()
        call.ended.wait(0.5)

    behind.proxy.break_calls("part", cancel)
    with pytest.raises(Cancelled), left_once(is_cancelled.is_set):
        behind.bring(random_bytes(LARGE))
    assert behind.left == []


@pytest.mark.parametrize(("phase", "spared"), [("object", 2), ("completion", 0), ("completion", 1), ("tags", 0)])
@pytest.mark.parametrize("name", ["503", "reset"])
def test_what_a_store_is_able_to_do_is_found_out_though_a_call_breaks(
    behind: Behind, phase: str, spared: int, name: str
) -> None:
    able, behind.bucket.abilities = abilities_of(behind.bucket), None
    behind.proxy.break_calls(phase, BREAKS[name], spared=spared)
    assert abilities_of(behind.bucket) == able
    assert (behind.proxy.faults_done, behind.left) == (1, [])


def test_what_could_not_be_tried_is_not_kept(behind: Behind) -> None:
    able, behind.bucket.abilities = abilities_of(behind.bucket), None
    behind.proxy.break_calls("completion", reset, times=1000)
    with pytest.raises(PeerFault):
        abilities_of(behind.bucket)
    behind.proxy.break_calls("completion", reset, times=0)
    assert abilities_of(behind.bucket) == able
    assert behind.left == []


def test_parts_stay_where_an_earlier_try_may_be_putting_them_together_still(behind: Behind) -> None:
    behind.proxy.break_calls("completion", BREAKS["500"])
    behind.proxy.break_calls_too("completion", said("AccessDenied", "403 Forbidden"))
    with pytest.raises(PeerRefused):
        behind.bring(random_bytes(LARGE))
    [left] = behind.bucket.unfinished(f"{behind.bucket.prefix}/")
    assert behind.bucket.abort(left.key, left.upload_id)


@pytest.mark.parametrize(("phase", "size_bytes"), [("object", SMALL), ("completion", LARGE)])
def test_where_the_store_refuses_nothing_it_is_looked_before_each_try(
    rclone: RunningRclone, phase: str, size_bytes: int
) -> None:
    with (
        FaultyProxy("127.0.0.1", rclone.port).running() as proxy,
        connection_to(rclone, endpoint=f"http://127.0.0.1:{proxy.port}").opened() as opened,
        connection_to(rclone).opened() as direct,
    ):
        bucket = hurried(opened)
        key = f"{bucket.prefix}/a"
        assert not abilities_of(bucket).refuses_existing_put

        def come(_: Call) -> None:
            put(direct, key, b"another's")

        proxy.break_calls(phase, come)
        with pytest.raises(DestinationExists):
            brought(bucket, random_bytes(size_bytes), "a")
        assert content_of(direct, key) == b"another's"
