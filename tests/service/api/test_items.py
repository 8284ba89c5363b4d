"""The items, events, manifest and receipt of a request."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from stager.errors import SourceChanged
from stager.methods.jupyter_copy import JupyterCopy
from stager.models import StagingItem, StagingRequest, Status
from stager.records.cutting import ShardLimits
from stager.records.items import files_of, manifest_writer, save_files
from stager.records.leases import acquire_leases, release_leases
from stager.records.requests import (
    AddedItem,
    add_expanded,
    close_requests,
    create_request,
    end_expansion,
    start_requests,
)
from stager.vocabulary import Expand, ManifestEntry

if TYPE_CHECKING:
    import httpx

    from stager.records.tables import StagedFile
    from tests.service.conftest import ServedDoor

pytestmark = pytest.mark.stack

FILE: dict[str, Any] = {
    "status": Status.COMPLETED,
    "kind": "file",
    "size_bytes": 5,
    "bytes_done": 5,
    "files_done": 1,
    "checksum": "0a1b2c3d",
    "checksum_algorithm": "adler32",
}
FAILED: dict[str, Any] = {"status": Status.FAILED, "error_type": "NoSpace", "error_reason": "No space"}
SKIPPED: dict[str, Any] = {"status": Status.SKIPPED, "kind": "file", "size_bytes": 7}

VERIFIED_BY = JupyterCopy.promise.verified_by
ITEMS = tuple(StagingItem(source=name, destination=name) for name in ("a.fits", "b.fits"))
TEN = ShardLimits(items=10, size_bytes=10)
TO_NOTEBOOK = StagingRequest(method="jupyter_copy", username="alice", items=ITEMS)


@pytest.fixture
def mixed(lone_door: ServedDoor) -> str:
    """A request of four items that ended differently."""
    items = [(name, f"night/{name}") for name in ("a", "b", "c", "d")]
    request_id = str(lone_door.ask(*items, note="for later").json()["request_id"])
    lone_door.end(request_id, FILE, FAILED, SKIPPED, FILE)
    return request_id


def test_items_come_in_pages_by_their_place(lone_door: ServedDoor, mixed: str) -> None:
    seen, cursor = [], None
    while True:
        page = lone_door.client.get(
            f"/requests/{mixed}/items", params={"limit": 3} | ({} if cursor is None else {"cursor": cursor})
        ).json()
        seen += [item["position"] for item in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == [0, 1, 2, 3]


def test_items_are_found_by_how_they_stand(lone_door: ServedDoor, mixed: str) -> None:
    page = lone_door.client.get(f"/requests/{mixed}/items", params={"status": ["failed", "skipped"]}).json()
    assert [(item["position"], item["status"]) for item in page["items"]] == [(1, "failed"), (2, "skipped")]


def test_events_tell_what_happened_and_why(lone_door: ServedDoor, mixed: str) -> None:
    first = lone_door.client.get(f"/requests/{mixed}/events", params={"limit": 2}).json()
    rest = lone_door.client.get(f"/requests/{mixed}/events", params={"cursor": first["next_cursor"]}).json()
    events = first["events"] + rest["events"]
    assert [(event["kind"], event["cause"]) for event in events] == [
        ("submitted", None),
        ("started", None),
        ("failed", "NoSpace"),
    ]
    assert rest["next_cursor"] is None


def test_a_manifest_has_a_line_for_every_file_that_was_delivered(lone_door: ServedDoor) -> None:
    items = [(name, f"night/{name}") for name in ("a", "tree", "b", "c")]
    request_id = lone_door.ask(*items).json()["request_id"]
    tree = files_of(lone_door.database, request_id)[1]
    with manifest_writer(lone_door.database, tree) as write:
        for number in range(5000):
            write(ManifestEntry(path=f"{number}\udcff", size_bytes=number, checksum=f"{number:08x}"))
    lone_door.end(request_id, FILE, FILE | {"kind": "directory"}, FAILED, SKIPPED)

    answer = lone_door.client.get(f"/requests/{request_id}/manifest")

    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [line["path"] for line in (lines[0], lines[1], lines[-2], lines[-1])] == [
        "night/a",
        "night/tree/0\udcff",
        "night/tree/4999\udcff",
        "night/c",
    ]
    assert len(lines) == 5002
    assert lines[0] == {"path": "night/a", "position": 0} | {
        name: FILE[name] for name in ("kind", "size_bytes", "checksum", "checksum_algorithm")
    }


def test_a_manifest_names_the_checksum_that_was_asked_for(lone_door: ServedDoor) -> None:
    asked = {"source": "a", "destination": "a", "checksum": f"sha256:{64 * 'A'}"}
    request_id = lone_door.ask(items=[asked]).json()["request_id"]
    lone_door.end(request_id, FILE)

    line = json.loads(lone_door.client.get(f"/requests/{request_id}/manifest").text)
    assert (line["checksum_algorithm"], line["checksum"]) == ("adler32", FILE["checksum"])
    assert line["expected_checksum"] == f"sha256:{64 * 'a'}"


def test_a_directory_that_was_there_already_has_the_lines_of_its_delivery(lone_door: ServedDoor) -> None:
    tree = FILE | {"kind": "directory", "source_fingerprint": uuid.uuid4().hex}
    skipped = {name: tree[name] for name in ("kind", "source_fingerprint")} | {"status": Status.SKIPPED}
    delivered = lone_door.ask(("tree", "tree")).json()["request_id"]
    with manifest_writer(lone_door.database, files_of(lone_door.database, delivered)[0]) as write:
        write(ManifestEntry(path="a", size_bytes=1, checksum="00010001"))
    lone_door.end(delivered, tree)
    again = lone_door.ask(("tree", "here"), ("other", "there")).json()["request_id"]
    lone_door.end(again, skipped, skipped | {"source_fingerprint": "never delivered"})

    lines = [json.loads(line) for line in lone_door.client.get(f"/requests/{again}/manifest").text.splitlines()]
    assert [(line["path"], line["checksum"]) for line in lines] == [("here/a", "00010001"), ("there", None)]


def test_a_receipt_says_what_was_brought_in_all(lone_door: ServedDoor, mixed: str) -> None:
    receipt = lone_door.client.get(f"/requests/{mixed}/receipt").json()

    assert receipt["items_by_status"] == {"completed": 2, "failed": 1, "skipped": 1}
    assert (receipt["size_bytes"], receipt["file_count"], receipt["note"]) == (10, 2, "for later")
    assert (receipt["promises"]["read_only_by"], receipt["promises"]["publishes_atomically"]) == ("mode", True)
    assert lone_door.client.get(receipt["manifest_url"].removeprefix("http://127.0.0.1:8000")).status_code == 200


@pytest.mark.parametrize(
    ("left", "promised"),
    [
        ({}, {"read_only_by": "kernel", "verified_by": VERIFIED_BY}),
        ({"left_writable": "no kernel"}, {"read_only_by": "nothing"}),
        (
            {"left_unverified": "no checksum"},
            {"verified_by": f"{VERIFIED_BY}; of some of it, sizes alone"},
        ),
    ],
)
def test_a_receipt_promises_no_more_than_was_done(
    lone_door: ServedDoor, left: dict[str, str], promised: dict[str, str]
) -> None:
    request_id = create_request(lone_door.database, TO_NOTEBOOK).id
    lone_door.end(request_id, FILE | {"checksum": "0" * 64, "checksum_algorithm": "sha256"} | left, FILE)
    receipt = lone_door.client.get(f"/requests/{request_id}/receipt").json()
    assert promised.items() <= receipt["promises"].items()
    [item, _] = lone_door.client.get(f"/requests/{request_id}").json()["items"]
    assert {name: item[name] for name in left} == left


def test_only_what_is_there_has_an_address_and_a_cell_that_open_it(lone_door: ServedDoor) -> None:
    request_id = create_request(lone_door.database, TO_NOTEBOOK).id
    seen = {"seen_at": "~/a.fits", "link": "https://hub.example.org/user/alice/lab/tree/a.fits"}
    lone_door.end(request_id, FILE | seen, FAILED | seen)
    there, failed = lone_door.client.get(f"/requests/{request_id}").json()["items"]
    assert there["link"] == seen["link"]
    assert "~/a.fits" in there["code"]
    assert (failed["link"], failed["code"]) == (None, None)


@pytest.mark.parametrize(
    ("kind", "status", "said"),
    [
        ("file", Status.COMPLETED, ""),
        ("symlink", Status.COMPLETED, ""),
        ("directory", Status.COMPLETED, "chmod -R u+w"),
        ("directory", Status.SKIPPED, "chmod -R u+w"),
        ("directory", Status.FAILED, ""),
    ],
)
def test_a_receipt_says_what_it_takes_to_remove_a_directory(
    lone_door: ServedDoor, kind: str, status: Status, said: str
) -> None:
    request_id = lone_door.ask(("a", "a"), ("b", "b")).json()["request_id"]
    lone_door.end(request_id, FILE, {"kind": kind, "status": status})
    told = lone_door.client.get(f"/requests/{request_id}/receipt").json()["to_remove"]
    assert bool(told) == bool(said)
    assert said in (told or "")


def test_there_is_no_receipt_before_the_end(lone_door: ServedDoor) -> None:
    request_id = lone_door.ask().json()["request_id"]
    answer = lone_door.client.get(f"/requests/{request_id}/receipt")

    assert answer.status_code == 409
    assert answer.json()["type"].endswith("/problems/request-not-ended")


@pytest.mark.parametrize("part", ["", "/items", "/events", "/manifest", "/receipt"])
def test_of_what_nobody_asked_for_there_is_nothing(lone_door: ServedDoor, part: str) -> None:
    assert lone_door.client.get(f"/requests/no-such-id{part}").status_code == 404


def expanding(door: ServedDoor) -> tuple[str, StagedFile]:
    """Return a request that a run has begun, and its first item's record, which has become one item so far."""
    many = {"source": "tree", "destination": "out", "expand": "directory"}
    request_id = str(door.ask(items=[many, {"source": "a", "destination": "a"}]).json()["request_id"])
    parent = files_of(door.database, request_id)[0]
    start_requests(door.database, [request_id], flow_run_id="run", acting_as="alice")
    assert acquire_leases(door.database, [parent], holder="run/1", seconds=60) == []
    added = [AddedItem(StagingItem(source="tree/x", destination="out/x"), 5)]
    return request_id, add_expanded(door.database, parent, added, holder="run/1", limits=TEN, most_items=9)


def test_an_item_that_became_many_is_told_with_these_and_no_line_of_the_manifest(lone_door: ServedDoor) -> None:
    request_id, parent = expanding(lone_door)
    waiting = lone_door.request(request_id)
    end_expansion(lone_door.database, parent, None, holder="run/1", limits=TEN)
    files = files_of(lone_door.database, request_id)
    assert [file.expand for file in files] == [Expand.DIRECTORY, None, None]
    done: list[Any] = [FILE | {"id": file.id} for file in files[1:]]
    save_files(lone_door.database, done)
    close_requests(lone_door.database, [request_id])

    told = [(one["expand"], one["expanded_count"], one["expanded_from"]) for one in waiting["items"]]
    assert told == [("directory", 1, None), (None, None, None), (None, None, 0)]
    assert (waiting["status"], waiting["item_count"]) == ("started", 3)
    assert lone_door.request(request_id)["status"] == "completed"
    lines = lone_door.client.get(f"/requests/{request_id}/manifest").text.splitlines()
    assert [json.loads(line)["path"] for line in lines] == ["a", "out/x"]
    receipt = lone_door.client.get(f"/requests/{request_id}/receipt").json()
    assert (receipt["item_count"], receipt["size_bytes"], receipt["file_count"]) == (3, 10, 2)
    assert receipt["items_by_status"] == {"completed": 2}


def test_a_retry_expands_again_what_failed_to_be_expanded_and_asks_for_nothing_twice(lone_door: ServedDoor) -> None:
    request_id, parent = expanding(lone_door)
    end_expansion(lone_door.database, parent, SourceChanged("tree/y"), holder="run/1", limits=TEN)
    release_leases(lone_door.database, holder="run/1")
    close_requests(lone_door.database, [request_id])

    again = lone_door.client.post(f"/requests/{request_id}/retry", json={}).json()
    files = files_of(lone_door.database, again["request_id"])
    assert [(file.source, file.expand) for file in files] == [("tree", "directory"), ("a", None)]


@pytest.mark.parametrize(
    ("items", "why"),
    [
        ([("out", "directory"), ("./out/", None)], "destination"),
        ([("out", "directory"), ("out", "glob")], "destination"),
        ([("a/b", "glob"), ("a", None)], "lies inside"),
        ([("a", "glob"), ("a/b/c", None)], "lies inside"),
        ([("a", "prefix"), ("a/b/c", "prefix")], "lies inside"),
        ([("-a", None), (".", "glob")], "lies inside"),
        ([("b", "glob"), ("c/..", "glob")], "lies inside"),
        ([("a", "unknown")], "expand"),
    ],
)
def test_nothing_else_is_where_an_item_is_expanded_to(lone_door: ServedDoor, items: list[Any], why: str) -> None:
    wanted = [{"source": "s", "destination": to, "expand": expand} for to, expand in items]
    answers = [lone_door.ask(items=wanted), upload(lone_door, wanted)]
    assert [answer.status_code for answer in answers] == [422, 422]
    assert all(why in answer.text for answer in answers)


@pytest.mark.parametrize(
    "wanted", [[("out/1", "directory"), ("out/2", "glob"), ("out/3", None), ("o", "prefix")], [(".", "directory")]]
)
def test_each_is_expanded_into_a_folder_of_its_own(lone_door: ServedDoor, wanted: list[Any]) -> None:
    items = [{"source": "s", "destination": to, "expand": expand} for to, expand in wanted]
    assert [lone_door.ask(items=items).status_code, upload(lone_door, items).status_code] == [202, 202]


def test_what_is_expanded_has_no_checksum_and_no_size(lone_door: ServedDoor) -> None:
    many = {"source": "tree", "destination": "out", "expand": "directory", "size_bytes": 5}
    answer = lone_door.ask(items=[many])
    assert answer.status_code == 422
    assert "no size of its own" in answer.text


def upload(door: ServedDoor, items: list[dict[str, Any]]) -> httpx.Response:
    terms, kind = {"method": "local_copy", "username": "alice"}, {"Content-Type": "application/x-ndjson"}
    lines = "".join(json.dumps(item) + "\n" for item in items)
    return door.client.post("/requests/from-manifest", params=terms, content=lines.encode(), headers=kind)
