"""Requests as they go on, told to whoever watches."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from stager.models import Status
from stager.records.items import Progress, files_of, note_progress, save_files
from stager.records.requests import close_requests, start_requests
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from tests.service.conftest import ServedDoor

pytestmark = pytest.mark.stack

DONE: dict[str, Any] = {"status": Status.COMPLETED, "bytes_done": 1000, "files_done": 1, "size_bytes": 1000}


def told(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Give the events of a stream: their fields, and the data as JSON."""
    fields: dict[str, Any] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line == "" and "data" in fields:
            yield fields | {"data": json.loads(fields["data"])}
        fields = {} if line == "" else fields | {name: value}


def watch(door: ServedDoor, request_id: str, last: str | None = None) -> list[dict[str, Any]]:
    """Return all that the stream of a request tells until it ends."""
    headers = {"Last-Event-ID": last} if last else {}
    with httpx.stream("GET", f"{door.url}/requests/{request_id}/stream", headers=headers, timeout=PATIENCE) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        return list(told(answer.iter_lines()))


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["data"]["kind"] for event in events if event["event"] == "change"]


def test_a_request_is_told_from_its_beginning_to_its_end(lone_door: ServedDoor) -> None:
    request_id = lone_door.ask().json()["request_id"]
    with ThreadPoolExecutor() as threads:
        seen = threads.submit(watch, lone_door, request_id)
        lone_door.end(request_id, DONE)
        events = seen.result()

    assert kinds(events) == ["submitted", "started", "completed"]
    ids = [int(event["id"]) for event in events if "id" in event]
    assert ids == sorted(ids)
    assert {event["data"]["request_id"] for event in events} == {request_id}


def test_progress_is_told_in_bytes_and_files_before_the_end(lone_door: ServedDoor) -> None:
    request_id = lone_door.ask().json()["request_id"]
    start_requests(lone_door.database, [request_id], flow_run_id="run", acting_as="alice")
    [file] = files_of(lone_door.database, request_id)
    note_progress(lone_door.database, [Progress(file.id, 500, 0, 1000, 1)])
    with httpx.stream("GET", f"{lone_door.url}/requests/{request_id}/stream", timeout=PATIENCE) as answer:
        events = told(answer.iter_lines())
        half = next(event["data"] for event in events if event["event"] == "progress")
        save_files(lone_door.database, [{"id": file.id, **DONE}])  # type: ignore[typeddict-item] # as a file's change
        close_requests(lone_door.database, [request_id])
        rest = list(events)

    facts = ("item_count", "items_ended", "bytes_done", "files_done", "size_bytes")
    assert [half[name] for name in facts] == [1, 0, 500, 0, 1000]
    whole = [event["data"] for event in rest if event["event"] == "progress"][-1]
    assert [whole[name] for name in facts] == [1, 1, 1000, 1, 1000]
    assert rest[-1]["data"]["kind"] == "completed"


def test_whoever_comes_back_is_told_what_they_missed_and_no_more(lone_door: ServedDoor) -> None:
    request_id = lone_door.ask().json()["request_id"]
    lone_door.end(request_id, DONE)
    first, *rest = (event for event in watch(lone_door, request_id) if event["event"] == "change")

    again = watch(lone_door, request_id, last=first["id"])
    assert kinds(again) == kinds(rest)
    headers = {"Last-Event-ID": rest[-1]["id"]}
    assert lone_door.client.get(f"/requests/{request_id}/stream", headers=headers).status_code == 204


def test_all_requests_are_told_from_the_event_that_is_named(lone_door: ServedDoor) -> None:
    before = lone_door.ask().json()["request_id"]
    last = lone_door.client.get(f"/requests/{before}/events").json()["events"][-1]["id"]
    missed = lone_door.ask().json()["request_id"]
    with httpx.stream(
        "GET", f"{lone_door.url}/requests/stream", headers={"Last-Event-ID": str(last)}, timeout=PATIENCE
    ) as answer:
        events = (event for event in told(answer.iter_lines()) if event["event"] == "change")
        seen = [next(events)["data"]]
        later = lone_door.ask().json()["request_id"]
        while seen[-1]["request_id"] != later:
            seen.append(next(events)["data"])

    assert seen[0]["request_id"] == missed
    assert before not in {one["request_id"] for one in seen if one["kind"] == "submitted"}


@pytest.mark.parametrize("last", ["-1", "x", str(2**63)])
def test_an_id_that_no_event_can_have_is_refused(lone_door: ServedDoor, last: str) -> None:
    assert lone_door.client.get("/requests/stream", headers={"Last-Event-ID": last}).status_code == 422


def test_nobody_watches_what_nobody_asked_for(lone_door: ServedDoor) -> None:
    assert lone_door.client.get("/requests/no-such-id/stream").status_code == 404
