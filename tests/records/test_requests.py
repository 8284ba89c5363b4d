from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stager.checksums import Checksum
from stager.errors import IdempotencyConflict, InvalidPath, RequestNotFound
from stager.models import StagingItem, StagingRequest, Status
from stager.paths import locate
from stager.records.database import Database
from stager.records.events import events_of
from stager.records.items import FileChange, destination_key, files_of, last_copies, save_files
from stager.records.requests import create_request, get_request, list_requests
from stager.records.runs import note_flow_run


def request_of(*paths: str, username: str = "alice", method: str = "local_copy") -> StagingRequest:
    items = tuple(StagingItem(source=path, destination=path) for path in paths)
    return StagingRequest(method=method, username=username, items=items)


def test_a_request_is_found_as_it_was_written(database: Database) -> None:
    item = StagingItem(source="in.fits", destination="out.fits", checksum="adler32:AB", size_bytes=2**40)
    created = create_request(database, StagingRequest(method="local_copy", username="alice", items=(item,)))
    row = get_request(database, created.id)
    assert row == created
    assert (row.status, row.method, row.username, row.on_conflict) == (
        Status.SUBMITTED,
        "local_copy",
        "alice",
        "skip_identical",
    )
    [file] = files_of(database, row.id)
    assert (file.local_path_on_storage, file.relative_path) == ("in.fits", "out.fits")
    assert (file.expected_checksum, file.expected_size_bytes) == (Checksum("adler32", "000000ab"), 2**40)
    assert (file.status, file.position, file.bytes_done) == (Status.SUBMITTED, 0, 0)


def test_times_are_aware_and_keep_their_microseconds(database: Database) -> None:
    rows = [create_request(database, request_of("a")) for _ in range(3)]
    read = [get_request(database, row.id).created_at for row in rows]
    assert read == [row.created_at for row in rows]
    assert all(str(moment.tzinfo) == "UTC" for moment in read)
    assert any(moment.microsecond for moment in read)


@pytest.mark.parametrize(
    "path",
    [
        b"a ",
        b"a\nb",
        b"\xff\xfe.fits",
        "é".encode(),
        "e\u0301".encode(),
        "\U0001f52d".encode(),
        b"x" * 4096,
        b"%s %(id)s :id",
        b"'\"\\",
    ],
)
def test_a_path_survives_byte_by_byte(database: Database, path: bytes) -> None:
    text = path.decode("utf-8", "surrogateescape")
    created = create_request(database, request_of(text))
    [file] = files_of(database, created.id)
    assert file.relative_path == text
    assert file.local_path_on_storage.encode("utf-8", "surrogateescape") == path


def test_paths_that_look_alike_are_not_the_same(database: Database) -> None:
    twins = ["a", "A", "a ", "a\t", "é", "e\u0301"]
    for twin in twins:
        row = create_request(database, request_of(twin))
        [file] = files_of(database, row.id)
        key = destination_key(locate(Path("/users/alice"), twin))
        done = FileChange(id=file.id, status=Status.COMPLETED, checksum=twin.encode().hex(), destination_key=key)
        save_files(database, [done])
    for twin in twins:
        key = destination_key(locate(Path("/users/alice"), twin))
        assert last_copies(database, [key])[key].checksum == twin.encode().hex()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(paths=st.lists(st.binary(max_size=300).map(lambda path: path.replace(b"\0", b"0")), min_size=1, max_size=9))
def test_any_paths_survive(database: Database, paths: list[bytes]) -> None:
    # No two items may have one destination.
    texts = [(b"%d" % number + path).decode("utf-8", "surrogateescape") for number, path in enumerate(paths)]
    row = create_request(database, request_of(*texts))
    assert [file.relative_path for file in files_of(database, row.id)] == texts


def test_a_surrogate_that_stands_for_no_byte_is_refused_and_leaves_no_record(database: Database) -> None:
    with pytest.raises(InvalidPath):
        create_request(database, request_of("a", "\ud800"))
    assert list_requests(database).requests == []


@pytest.mark.any_python
def test_ten_thousand_items_are_written_and_read_in_their_order(database: Database) -> None:
    paths = [f"night/{number:05}.fits" for number in range(10_000)]
    row = create_request(database, request_of(*paths))
    assert [file.relative_path for file in files_of(database, row.id)] == paths
    some = files_of(database, row.id, after=9_000, limit=10)
    assert [file.position for file in some] == list(range(9_001, 9_011))


def test_the_same_key_and_request_give_the_same_record(database: Database) -> None:
    first = create_request(database, request_of("a"), idempotency_key="k")
    again = create_request(database, request_of("a"), idempotency_key="k")
    assert again.id == first.id
    assert len(list_requests(database).requests) == 1
    assert len(events_of(database, first.id)) == 1


def test_the_same_key_with_another_request_is_a_conflict(database: Database) -> None:
    create_request(database, request_of("a"), idempotency_key="k")
    with pytest.raises(IdempotencyConflict):
        create_request(database, request_of("b"), idempotency_key="k")


def test_keys_are_each_users_own_and_compared_byte_by_byte(database: Database) -> None:
    rows = [
        create_request(database, request_of("a", username=user), idempotency_key=key)
        for user in ("alice", "Alice", "bob")
        for key in ("k", "K", "k ", "\N{LATIN SMALL LETTER E WITH ACUTE}", None, None)
    ]
    assert len({row.id for row in rows}) == len(rows)


def test_the_same_key_sent_many_times_at_once_gives_one_record(database: Database) -> None:
    ids: list[str] = []

    def send() -> None:
        ids.append(create_request(database, request_of("a", "b"), idempotency_key="k").id)

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 8
    assert len(set(ids)) == 1
    assert len(files_of(database, ids[0])) == 2


def test_an_id_that_nobody_has_is_not_found(database: Database) -> None:
    with pytest.raises(RequestNotFound):
        get_request(database, "0" * 32)


def test_pages_are_newest_first_and_neither_repeat_nor_miss_a_request(database: Database) -> None:
    ids = [create_request(database, request_of("a")).id for _ in range(10)]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = list_requests(database, cursor=cursor, limit=3)
        seen += [row.id for row in page.requests]
        create_request(database, request_of("later"))
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == ids[::-1]


def test_a_full_last_page_has_no_next_one(database: Database) -> None:
    for _ in range(4):
        create_request(database, request_of("a"))
    first = list_requests(database, limit=2)
    last = list_requests(database, limit=2, cursor=first.next_cursor)
    assert (len(last.requests), last.next_cursor) == (2, None)


def test_requests_are_found_by_user_method_status_and_time(database: Database) -> None:
    first = create_request(database, request_of("a"))
    second = create_request(database, request_of("a", username="bob", method="symlink_copy"))
    assert [row.id for row in list_requests(database, username="alice").requests] == [first.id]
    assert [row.id for row in list_requests(database, method="symlink_copy").requests] == [second.id]
    assert [row.id for row in list_requests(database, since=second.created_at).requests] == [second.id]
    assert list_requests(database, statuses=[Status.FAILED]).requests == []
    assert len(list_requests(database, statuses=[Status.SUBMITTED, Status.FAILED]).requests) == 2


def test_the_first_flow_run_that_is_known_stays(database: Database) -> None:
    row = create_request(database, request_of("a"))
    note_flow_run(database, [row.id], "run-1")
    note_flow_run(database, [row.id], "run-2")
    assert get_request(database, row.id).flow_run_id == "run-1"
    assert [event.kind for event in events_of(database, row.id)] == ["submitted", "flow_run"]
