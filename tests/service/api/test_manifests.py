"""Requests whose items come as an uploaded manifest."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx
import pytest
from sqlalchemy import func, select

from stager.models import StagingItem, StagingTerms, Status
from stager.records.items import files_of
from stager.records.requests import abandoned_large_requests, add_items, begin_large_request
from stager.records.shards import shards_of
from stager.records.tables import StagedFile, StagingRequestRow

if TYPE_CHECKING:
    from tests.service.conftest import ServedDoor

pytestmark = pytest.mark.stack

MANY = 20_000
TERMS = {"method": "local_copy", "username": "alice"}


def upload(
    door: ServedDoor, body: bytes | Iterator[bytes], kind: str = "text/csv", key: str | None = None, **more: str
) -> httpx.Response:
    headers = {"Content-Type": kind} | ({"Idempotency-Key": key} if key else {})
    return door.client.post("/requests/from-manifest", params=TERMS | more, content=body, headers=headers)


def csv(count: int) -> bytes:
    return b"source,destination,size_bytes\n" + b"".join(b"s/%d,d/%d,%d\n" % (n, n, n) for n in range(count))


def rows(door: ServedDoor) -> tuple[int, int]:
    """Return how many requests and items are written down, seen or not."""
    requests, items = (select(func.count()).select_from(table) for table in (StagingRequestRow, StagedFile))
    return door.database.read(lambda session: (session.scalar(requests) or 0, session.scalar(items) or 0))


def test_twenty_thousand_items_are_written_down_as_one_request(lone_door: ServedDoor) -> None:
    answer = upload(lone_door, csv(MANY), note="survey", priority="4")

    assert answer.status_code == 202
    assert [answer.json()[name] for name in ("item_count", "note", "priority")] == [MANY, "survey", 4]
    files = files_of(lone_door.database, answer.json()["request_id"])
    assert [(file.position, file.relative_path, file.expected_size_bytes) for file in files] == [
        (n, f"d/{n}", n) for n in range(MANY)
    ]


def test_a_large_one_is_cut_into_shards_by_items_and_by_the_bytes_that_it_says(lone_door: ServedDoor) -> None:
    answer = upload(lone_door, csv(2 * 25_000 + 1))
    large = b"source,destination,size_bytes\n" + b"".join(b"a,b%d,400000000000\n" % n for n in range(5))
    bulky = upload(lone_door, large)

    ids = [one.json()["request_id"] for one in (answer, bulky)]
    found = shards_of(lone_door.database, ids)
    assert [[len(shard.positions) for shard in found[request_id]] for request_id in ids] == [
        [25_000] * 2 + [1],
        [2, 2, 1],
    ]
    counted = lone_door.client.get(f"/requests/{ids[1]}/explain").json()["shards"]
    assert counted == {"waiting": 3, "running": 0, "ended": 0}


def test_a_body_and_a_retry_are_cut_too(lone_door: ServedDoor) -> None:
    items = [{"source": "a", "destination": f"b{n}", "size_bytes": 10**12} for n in range(3)]
    body = TERMS | {"items": items}
    request_id = lone_door.client.post("/requests", json=body).json()["request_id"]
    lone_door.client.post(f"/requests/{request_id}/cancel")
    wanted = {"statuses": ["cancelled"]}
    again = lone_door.client.post(f"/requests/{request_id}/retry", json=wanted).json()["request_id"]
    found = shards_of(lone_door.database, [request_id, again])
    assert [len(found[one]) for one in (request_id, again)] == [3, 3]
    assert {shard.status for shard in found[request_id]} == {Status.CANCELLED}


def test_json_lines_carry_any_name(lone_door: ServedDoor) -> None:
    lines = [{"source": "x\udce9", "destination": 'a "b",\nc', "checksum": "1"}, {"source": "b", "destination": "b"}]
    body = "\n\n".join(json.dumps(line) for line in lines).encode()
    answer = upload(lone_door, body, "application/x-ndjson; charset=utf-8")

    files = files_of(lone_door.database, answer.json()["request_id"])
    assert [(file.local_path_on_storage, file.relative_path) for file in files] == [
        (line["source"], line["destination"]) for line in lines
    ]


def test_csv_carries_names_that_are_quoted_or_not_utf_8(lone_door: ServedDoor) -> None:
    body = b'\xef\xbb\xbfsource,destination\r\n"a, ""b""\nc",x\xe9\r\n'
    [file] = files_of(lone_door.database, upload(lone_door, body).json()["request_id"])

    assert (file.local_path_on_storage, file.relative_path) == ('a, "b"\nc', "x\udce9")


@pytest.mark.parametrize(
    ("kind", "body", "status", "detail"),
    [
        ("text/csv", csv(2500) + b"x,\n", 422, "Line 2502 of the manifest: destination"),
        ("text/csv", b"source,destination\na,b,c\n", 422, "Line 2 of the manifest: it has 3 fields, and the header 2"),
        ("text/csv", b"source,destination\na,b,\n", 422, "Line 2 of the manifest: it has 3 fields, and the header 2"),
        ("text/csv", b"source,source,destination\na,b,c\n", 422, "Line 1 of the manifest: source appears twice"),
        ("text/csv", gzip.compress(csv(1), mtime=0), 415, "A manifest is not compressed"),
        ("application/x-ndjson", gzip.compress(csv(1), mtime=0), 415, "A manifest is not compressed"),
        ("text/csv; charset=iso-8859-1", csv(1), 415, "A manifest is in UTF-8, not in iso-8859-1"),
        ('text/csv; charset="UTF-16"', csv(1), 415, "A manifest is in UTF-8, not in utf-16"),
        ("text/csv", b"source\na\n", 422, "Line 2 of the manifest: destination: Field required"),
        (
            "text/csv",
            b"source,destination,checksum\na,b,sha256:1\n",
            422,
            "Line 2 of the manifest: checksum: Value error, a checksum by sha256 is written sha256: and 64",
        ),
        (
            "application/x-ndjson",
            b'{"source": "a", "destination": "b", "checksum": "crc32:1"}',
            422,
            "Line 1 of the manifest: checksum: Value error, a checksum is by adler32, sha256, md5",
        ),
        ("text/csv", csv(1500) + b"y,d/7,1\n", 422, "Items 7 and 1500, counted from 0, have the same destination"),
        ("text/csv", csv(9) + b"y,./d,1\n", 422, "The destination of item 0 lies inside that of item 9"),
        ("text/csv", csv(9) + b"y,d/7/x/y,1\n", 422, "The destination of item 9 lies inside that of item 7"),
        ("text/csv", b"source,destination\n", 422, "Line 1 of the manifest: there are no items"),
        ("text/csv", b"source,destination\n" + b"x" * 70_000, 422, "Line 2 of the manifest: it is longer than"),
        ("application/x-ndjson", b'{"source": "a", "destination": "b"}\n{nope', 422, "Line 2 of the manifest: "),
        ("application/x-ndjson", b"[" * 60_000, 422, "Line 1 of the manifest: "),
        ("application/json", b"[]", 415, "A manifest is text/csv or application/x-ndjson"),
    ],
)
def test_a_manifest_that_is_not_right_leaves_nothing(
    lone_door: ServedDoor, kind: str, body: bytes, status: int, detail: str
) -> None:
    before = rows(lone_door)
    answer = upload(lone_door, body, kind)

    assert (answer.status_code, answer.json()["detail"][: len(detail)]) == (status, detail)
    assert rows(lone_door) == before


def test_a_body_that_says_that_it_is_compressed_is_refused(lone_door: ServedDoor) -> None:
    how = {"Content-Type": "text/csv", "Content-Encoding": "gzip"}
    answer = lone_door.client.post("/requests/from-manifest", params=TERMS, content=csv(1), headers=how)

    assert (answer.status_code, answer.json()["detail"]) == (415, "A manifest is not compressed")


@pytest.mark.parametrize(
    "kind", ["text/csv", "application/x-ndjson; charset=utf-8", "application/x-www-form-urlencoded"]
)
def test_who_sends_a_manifest_where_none_is_taken_is_told_where_it_goes(lone_door: ServedDoor, kind: str) -> None:
    answer = lone_door.client.post("/requests", content=csv(3), headers={"Content-Type": kind})

    assert answer.status_code == (422 if "form" in kind else 415)
    assert "POST /requests/from-manifest" in answer.text


def test_a_caller_who_hangs_up_leaves_nothing(lone_door: ServedDoor) -> None:
    def half() -> Iterator[bytes]:
        yield csv(3000)
        raise BrokenPipeError

    before = rows(lone_door)
    with pytest.raises(BrokenPipeError):
        upload(lone_door, half())

    upload(lone_door, csv(1))
    assert rows(lone_door) == (before[0] + 1, before[1] + 1)


def test_what_no_area_can_be_called_is_refused(lone_door: ServedDoor) -> None:
    assert upload(lone_door, csv(1), destination_area="../source").status_code == 422


def test_the_same_key_and_manifest_get_the_same_request(lone_door: ServedDoor) -> None:
    key = str(uuid.uuid4())
    first, again, other = (upload(lone_door, csv(count), key=key) for count in (1200, 1200, 1201))

    assert (first.status_code, again.status_code, other.status_code) == (202, 202, 422)
    assert first.headers["location"] == again.headers["location"]
    assert other.json()["type"].endswith("/problems/idempotency-conflict")


def test_a_key_whose_manifest_is_still_being_taken_in_is_told_so(lone_door: ServedDoor) -> None:
    key = str(uuid.uuid4())
    begin_large_request(lone_door.database, StagingTerms(**TERMS), origin="api", idempotency_key=key)
    answers = [upload(lone_door, csv(1), key=key), lone_door.ask(headers={"Idempotency-Key": key})]

    assert [answer.status_code for answer in answers] == [409, 409]
    assert {answer.json()["type"].rpartition("/")[2] for answer in answers} == {"request-arriving"}


def test_what_has_not_arrived_whole_is_seen_by_nobody(lone_door: ServedDoor) -> None:
    request_id = begin_large_request(lone_door.database, StagingTerms(**TERMS), origin="api", idempotency_key=None)
    add_items(lone_door.database, request_id, [StagingItem(source="a", destination="b")], start=0)
    newest = lone_door.ask().json()["request_id"]

    listed = lone_door.client.get("/requests", params={"limit": 1000}).json()["requests"]
    assert newest in {seen["request_id"] for seen in listed}
    assert request_id not in {seen["request_id"] for seen in listed}
    assert lone_door.client.get(f"/requests/{request_id}").status_code == 404
    assert abandoned_large_requests(lone_door.database) == []


def test_more_items_or_bytes_than_the_operator_allows_are_refused(narrow_door: ServedDoor) -> None:
    too_many, too_large = upload(narrow_door, csv(1501)), upload(narrow_door, csv(1) + b" " * 100_000)
    allowed = upload(narrow_door, csv(1500))

    assert [answer.status_code for answer in (too_many, too_large, allowed)] == [413, 413, 202]
    assert too_many.json()["detail"] == "More than 1500 items: make several requests"
    assert rows(narrow_door) == (1, 1500)
