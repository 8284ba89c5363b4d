"""How a request is cancelled, whole or in part, and what failed of it is done again."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from stager.models import Status
from stager.records.requests import close_requests, start_requests

if TYPE_CHECKING:
    from tests.service.conftest import ServedDoor

pytestmark = pytest.mark.stack

DONE: dict[str, Any] = {"status": Status.COMPLETED}
FAILED: dict[str, Any] = {"status": Status.FAILED, "error_type": "NoSpace", "error_reason": "No space"}
CANCELLED: dict[str, Any] = {"status": Status.CANCELLED, "error_type": "Cancelled", "error_reason": "cancelled"}
FOUR = [(name, f"night/{name}") for name in "abcd"]


def statuses(door: ServedDoor, request_id: str) -> list[str]:
    return [item["status"] for item in door.request(request_id)["items"]]


@pytest.mark.parametrize(("verb", "path"), [("DELETE", ""), ("POST", "/cancel")])
def test_what_no_run_has_begun_is_cancelled_at_once(lone_door: ServedDoor, verb: str, path: str) -> None:
    request_id = lone_door.ask(*FOUR).json()["request_id"]
    answer = lone_door.client.request(verb, f"/requests/{request_id}{path}")

    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert lone_door.client.request(verb, f"/requests/{request_id}{path}").json() == answer.json()


def test_the_run_of_what_has_begun_is_asked_to_stop(lone_door: ServedDoor) -> None:
    request_id = lone_door.ask(*FOUR).json()["request_id"]
    start_requests(lone_door.database, [request_id], flow_run_id=None, acting_as="alice")
    answer = lone_door.client.delete(f"/requests/{request_id}")

    assert (answer.status_code, answer.json()["status"], answer.json()["cancel_requested"]) == (202, "started", True)
    close_requests(lone_door.database, [request_id], cancelled=[request_id])


def test_some_items_are_cancelled_and_the_others_wait_on(lone_door: ServedDoor) -> None:
    request_id = lone_door.ask(*FOUR).json()["request_id"]
    answer = lone_door.client.post(f"/requests/{request_id}/cancel", json={"items": [1, 3]})

    assert (answer.status_code, answer.json()["status"]) == (202, "submitted")
    assert statuses(lone_door, request_id) == ["submitted", "cancelled", "submitted", "cancelled"]
    lone_door.client.post(f"/requests/{request_id}/cancel", json={"items": [0, 1, 2]})
    assert lone_door.request(request_id)["status"] == "cancelled"


def test_a_place_where_no_item_is_cancels_nothing(lone_door: ServedDoor) -> None:
    request_id = lone_door.ask(*FOUR).json()["request_id"]
    answer = lone_door.client.post(f"/requests/{request_id}/cancel", json={"items": [1, 4]})

    assert (answer.status_code, answer.json()["detail"]) == (404, f"Request {request_id} has no item 4")
    assert set(statuses(lone_door, request_id)) == {"submitted"}


@pytest.mark.parametrize(("body", "again"), [(None, ["b"]), ({"statuses": ["cancelled", "failed"]}, ["b", "d"])])
def test_only_what_failed_is_done_again_by_a_new_request(
    lone_door: ServedDoor, body: dict[str, Any] | None, again: list[str]
) -> None:
    terms: dict[str, Any] = {"priority": 2, "note": "n", "lifetime": 60, "on_conflict": "replace"}
    request_id = lone_door.ask(*FOUR, **terms).json()["request_id"]
    lone_door.end(request_id, DONE, FAILED, DONE, CANCELLED)
    answer = lone_door.client.post(f"/requests/{request_id}/retry", json=body)

    assert answer.status_code == 202
    seen = lone_door.client.get(answer.headers["location"]).json()
    assert (seen["origin"], seen["retry_of"], seen["status"]) == ("retry", request_id, "submitted")
    assert {name: seen[name] for name in terms} == terms
    assert [item["source"] for item in seen["items"]] == again
    assert [
        event["kind"] for event in lone_door.client.get(f"{answer.headers['location']}/events").json()["events"]
    ] == ["submitted"]


def test_a_retry_asks_for_the_same_checksum(lone_door: ServedDoor) -> None:
    checksum = f"sha256:{64 * 'a'}"
    items = [{"source": "a", "destination": "a", "checksum": checksum}]
    request_id = lone_door.ask(items=items).json()["request_id"]
    lone_door.end(request_id, FAILED)
    answer = lone_door.client.post(f"/requests/{request_id}/retry")

    [item] = lone_door.client.get(answer.headers["location"]).json()["items"]
    assert item["expected_checksum"] == checksum


def test_a_retry_that_is_sent_again_is_one_retry(lone_door: ServedDoor) -> None:
    request_id = lone_door.ask(*FOUR).json()["request_id"]
    lone_door.end(request_id, DONE, FAILED, DONE, DONE)
    key = {"Idempotency-Key": str(uuid.uuid4())}
    answers = [lone_door.client.post(f"/requests/{request_id}/retry", headers=key) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert len({answer.headers["location"] for answer in answers}) == 1


def test_a_download_is_asked_for_again_by_its_own_call(lone_door: ServedDoor) -> None:
    lone_door.stage("direct_download", source="nothing-is-there")
    [download] = lone_door.client.get("/requests?method=direct_download&limit=1").json()["requests"]
    answer = lone_door.client.post(f"/requests/{download['request_id']}/retry")

    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (409, "download-not-retried")
    assert answer.json()["detail"].endswith("is a download, which cannot be retried: ask for the file again")


def test_what_goes_on_or_did_not_fail_is_not_done_again(lone_door: ServedDoor) -> None:
    request_id = lone_door.ask().json()["request_id"]
    going = lone_door.client.post(f"/requests/{request_id}/retry")
    lone_door.end(request_id, DONE)
    fine = lone_door.client.post(f"/requests/{request_id}/retry")

    assert [answer.status_code for answer in (going, fine)] == [409, 409]
    assert [answer.json()["type"].rpartition("/")[2] for answer in (going, fine)] == [
        "request-not-ended",
        "nothing-to-retry",
    ]
