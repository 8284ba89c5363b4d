"""How a request is asked for."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from stager.models import Status
from tests.ports import NO_PREFECT

if TYPE_CHECKING:
    from tests.service.conftest import ServedDoor

pytestmark = pytest.mark.stack


DELIVERED: dict[str, Any] = {"status": Status.COMPLETED}


def test_a_request_is_written_down_and_found_where_the_answer_says(lone_door: ServedDoor) -> None:
    terms: dict[str, Any] = {
        "priority": 3,
        "lifetime": 86400,
        "note": "for the seminar",
        "deadline": "2199-01-01T00:00:00Z",
    }
    checksums = ("A1", f"sha256:{64 * 'a'}", f"MD5:{32 * 'b'}")
    items = [
        {"source": f"{n}", "destination": f"d/{n}", "size_bytes": n, "checksum": checksum}
        for n, checksum in enumerate(checksums)
    ]
    answer = lone_door.ask(items=items, **terms)

    assert answer.status_code == 202
    seen = lone_door.client.get(answer.headers["location"]).json()
    assert {name: seen[name] for name in terms} == terms
    assert (seen["status"], seen["origin"], seen["item_count"]) == ("submitted", "api", 3)
    assert [item["source"] for item in seen["items"]] == ["0", "1", "2"]
    kept = [item["expected_checksum"] for item in seen["items"]]
    assert kept == ["adler32:000000a1", f"sha256:{64 * 'a'}", f"md5:{32 * 'b'}"]


def test_requests_of_the_same_moment_are_each_answered_for_themselves(
    serve: Callable[..., AbstractContextManager[ServedDoor]], database_url: str, tmp_path: Path
) -> None:
    people = tmp_path / "people.toml"
    people.write_text("".join(f"[users.{name}]\nuid = 1000\ngid = 1000\n" for name in ("alice", "bob", "eve")))
    where = {"database_url": database_url, "prefect_api": NO_PREFECT, "STAGER_USERS_FILE": str(people)}
    limits = {"STAGER_MAX_OPEN_REQUESTS": "12", "STAGER_WAIT": "1"}
    with serve(tmp_path, **where, **limits) as door, ThreadPoolExecutor(16) as pool:

        def ask(number: int) -> tuple[str, int]:
            kind = ("good", "same key", "too many", "bad path")[number % 4]
            username = {"good": "alice", "too many": "bob"}.get(kind, "eve")
            key = {"Idempotency-Key": "mine"} if kind == "same key" else {}
            source = "\udcff\ud800" if kind == "bad path" else f"{number}"
            return kind, door.stage(username=username, source=source, destination=f"{number}", headers=key).status_code

        # Nobody carries them out: as much as was accepted stays open.
        answers = Counter(pool.map(ask, range(4 * 12)))
        more = Counter(pool.map(ask, (2 + 4 * number for number in range(12, 15))))

    assert answers == {
        ("good", 202): 12,
        ("same key", 202): 1,
        ("same key", 422): 11,
        ("too many", 202): 12,
        ("bad path", 400): 12,
    }
    assert more == {("too many", 429): 3}


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"method": "teleport"}, 400),
        ({"method": "direct_download"}, 400),
        ({"items": [{"source": "a", "destination": "b", "size_bytes": 2**63}]}, 422),
        ({"username": "nobody-knows"}, 400),
        ({"items": []}, 422),
        ({"items": [{"source": "a", "destination": "b"}, {"source": "c", "destination": "./b"}]}, 422),
        ({"items": [{"source": "a", "destination": "t//x"}, {"source": "c", "destination": "./t"}]}, 422),
        ({"items": [{"source": "a\0", "destination": "b"}]}, 422),
        ({"items": [{"source": "a", "destination": "b", "checksum": "crc32:0a1b2c3d"}]}, 422),
        ({"items": [{"source": "a", "destination": "b", "checksum": "sha256:0a1b2c3d"}]}, 422),
        ({"priority": 11}, 422),
        ({"lifetime": 0}, 422),
        ({"deadline": "0001-01-01T00:00:00+23:59"}, 422),
        ({"destination_area": "x" * 256}, 422),
        ({"destination_area": "../source"}, 422),
        ({"destination_area": "user/lab"}, 400),
        ({"destination_area": "user/.."}, 422),
        ({"destination_area": "user/a/b"}, 422),
        ({"source_area": "Source"}, 422),
        ({"unknown": 1}, 422),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_problem(
    lone_door: ServedDoor, more: dict[str, Any], status: int
) -> None:
    answer = lone_door.ask(**more)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_same_key_and_body_get_the_same_request(lone_door: ServedDoor) -> None:
    key = {"Idempotency-Key": f'"{uuid.uuid4()}"'}
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: lone_door.ask(headers=key), range(16)))

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.headers["location"] for answer in answers}) == 1


def test_the_same_key_with_another_body_is_refused(lone_door: ServedDoor) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    lone_door.ask(headers=key)
    answer = lone_door.ask(headers=key, note="another")

    assert answer.status_code == 422
    assert answer.json()["type"].endswith("/problems/idempotency-conflict")


@pytest.mark.parametrize("key", ["", "x" * 256, "snowman \u2603"])
def test_a_key_that_cannot_be_kept_is_refused(lone_door: ServedDoor, key: str) -> None:
    body = b'{"method": "local_copy", "username": "alice", "items": [{"source": "a", "destination": "b"}]}'
    headers = {b"Idempotency-Key": key.encode(), b"Content-Type": b"application/json"}
    assert lone_door.client.post("/requests", content=body, headers=headers).status_code == 422


def test_the_demos_call_honours_a_key_too(lone_door: ServedDoor) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    first, second, other = (lone_door.stage(source=source, headers=key) for source in ("a", "a", "other"))

    assert first.json()["request_id"] == second.json()["request_id"]
    assert other.status_code == 422


def test_prefer_waits_for_the_outcome(door: ServedDoor) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    request_id = door.ask(headers=key).json()["request_id"]
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(door.ask, headers={**key, "Prefer": "respond-async, wait=60"})
        time.sleep(0.2)
        assert not waiting.done()
        door.end(request_id, DELIVERED)
        answer = waiting.result()

    assert (answer.status_code, answer.json()["status"]) == (200, "completed")
    assert answer.headers["preference-applied"] == "wait=60"


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [("wait=0", "wait=0"), ('wait="1"', "wait=0"), ("wait=99999999", "wait=0"), ("wait=soon", None)],
)
def test_a_wait_that_is_over_or_not_understood_keeps_nobody(
    lone_door: ServedDoor, prefer: str, applied: str | None
) -> None:
    answer = lone_door.ask(headers={"Prefer": prefer})

    assert answer.status_code == 202
    assert answer.headers.get("preference-applied") == applied  # the operator's longest wait is 0.2 s


def test_a_body_of_too_many_items_is_refused(brief_door: ServedDoor) -> None:
    items = [{"source": f"{n}", "destination": f"{n}"} for n in range(10_001)]
    answer = brief_door.ask(items=items)

    assert answer.status_code == 413
    assert answer.json()["detail"].startswith("More than 10000 items: ")
    assert brief_door.ask(items=items[:-1]).status_code == 202


def test_what_is_not_done_by_its_deadline_is_cancelled_with_that_reason(lone_door: ServedDoor) -> None:
    late = lone_door.ask(deadline="2026-01-01T00:00:00Z").json()["request_id"]
    in_time = lone_door.ask(deadline="2199-01-01T00:00:00Z").json()["request_id"]

    seen = lone_door.eventually(late, lambda seen: seen["status"] == "cancelled")

    assert seen["error_reason"] == "not done by its deadline, 2026-01-01 00:00:00 UTC"
    assert [item["error_type"] for item in seen["items"]] == ["DeadlinePassed"]
    assert lone_door.request(in_time)["status"] == "submitted"


def test_a_lifetime_begins_when_it_is_delivered(lone_door: ServedDoor) -> None:
    request_id = lone_door.ask(lifetime=3600).json()["request_id"]
    assert lone_door.request(request_id)["expires_at"] is None

    lone_door.end(request_id, DELIVERED)

    seen = lone_door.request(request_id)
    assert seen["expires_at"][11:13] != seen["finished_at"][11:13]
