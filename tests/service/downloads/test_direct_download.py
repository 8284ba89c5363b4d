"""The demo's ``direct_download``: the answer is the file, and the record says how it went."""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.service.conftest import ServedDoor

pytestmark = pytest.mark.any_database

HUGE = 4 << 30  # more than any socket's buffers hold


def last_request(door: ServedDoor) -> str:
    return str(door.client.get("/requests", params={"limit": 1}).json()["requests"][0]["request_id"])


def is_over(request: dict[str, Any]) -> bool:
    return request["status"] not in {"submitted", "started"}


def test_the_answer_is_the_file_and_the_record_has_its_checksum(lone_door: ServedDoor) -> None:
    content = os.urandom((3 << 20) + 5)
    (lone_door.source / "a b.fits").write_bytes(content)

    answer = lone_door.stage("direct_download", source="a b.fits")

    assert (answer.status_code, answer.content) == (200, content)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == 'attachment; filename="a b.fits"'
    seen = lone_door.eventually(last_request(lone_door), is_over)
    [item] = seen["items"]
    assert (seen["status"], item["size_bytes"]) == ("completed", len(content))
    assert (item["checksum_algorithm"], item["checksum"]) == ("adler32", f"{zlib.adler32(content):08x}")


def test_a_client_that_hangs_up_closes_the_record_as_cancelled(lone_door: ServedDoor) -> None:
    with (lone_door.source / "huge").open("wb") as file:
        file.truncate(HUGE)
    body = {"data": {"local_path_on_storage": "huge", "relative_path": "b"}}
    params = {"method": "direct_download", "username": "alice"}

    with lone_door.client.stream("POST", "/stage_data", params=params, json=body) as answer:
        next(answer.iter_raw())

    seen = lone_door.eventually(last_request(lone_door), is_over)
    assert seen["status"] == "cancelled"
    assert str(seen["items"][0]["error_reason"]).startswith("the client hung up after ")
    assert seen["items"][0]["progress"]["bytes_done"] < HUGE


def test_a_missing_source_is_told_in_the_demos_words_and_recorded(lone_door: ServedDoor) -> None:
    answer = lone_door.stage("direct_download", source="missing.fits")

    sentence = f"Source path does not exist: {lone_door.source}/missing.fits"
    assert (answer.status_code, answer.json()["detail"]) == (400, sentence)
    seen = lone_door.eventually(last_request(lone_door), is_over)
    assert (seen["status"], seen["error_reason"]) == ("failed", sentence)
