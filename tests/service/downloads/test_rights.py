"""A service that root started reads for a caller what the caller may read, as a run of theirs would."""

from __future__ import annotations

import os
import socket
import stat
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.patience import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.service.downloads.conftest import Shelf

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to read as somebody else")
UIDS = {"alice": 70_001, "bob": 70_002}
SMALL, LARGE = 1000, 3 * 1024 * 1024 + 7


@pytest.fixture(scope="module")
def shared(open_shelf: Shelf) -> Shelf:
    """A shelf with things of Bob's in it."""
    for size in (SMALL, LARGE):
        bobs(open_shelf.put(f"own-{size}", open_shelf.content(size)), 0o600)
        bobs(open_shelf.put(f"groups-{size}", open_shelf.content(size)), 0o640)
    open_shelf.put("tree/a-open", b"a")
    bobs(open_shelf.put("tree/b-closed", b"b"), 0o600)
    open_shelf.put("folder/inner", b"")
    bobs(open_shelf.door.source / "folder", 0o700)
    return open_shelf


def bobs(path: Path, mode: int) -> None:
    os.chown(path, UIDS["bob"], 70_011)
    path.chmod(mode)


def ask(shelf: Shelf, name: str, username: str | None, **headers: str) -> httpx.Response:
    query = {"username": username} if username else {}
    return shelf.door.client.get(f"/files/source/{name}", params=query, headers=headers)


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("username", ["alice", None])
def test_a_file_of_another_is_refused_whole_in_part_and_by_head(shared: Shelf, size: int, username: str | None) -> None:
    name = f"own-{size}"
    head = shared.door.client.head(f"/files/source/{name}", params={"username": username} if username else {})
    answers = [ask(shared, name, username), ask(shared, name, username, Range="bytes=0-9"), head]

    assert [answer.status_code for answer in answers] == [403] * 3
    assert not any("x-accel-redirect" in answer.headers for answer in answers)


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize(("name", "username"), [("own", "bob"), ("groups", "bob"), ("groups", "alice")])
def test_a_file_of_ones_own_or_of_ones_group_is_sent(shared: Shelf, size: int, name: str, username: str) -> None:
    answer = ask(shared, f"{name}-{size}", username)
    assert answer.status_code == 200
    assert answer.content == shared.content(size) or "x-accel-redirect" in answer.headers


@pytest.mark.parametrize("archive", ["tar", "zip"])
def test_a_directory_with_a_file_of_another_is_refused_by_name(shared: Shelf, archive: str) -> None:
    tree = f"tree?archive={archive}&username="
    refused, sent = (shared.door.client.get(f"/files/source/{tree}{name}") for name in UIDS)

    assert (refused.status_code, sent.status_code) == (403, 200)
    assert "tree/b-closed" in refused.json()["detail"]


def test_a_folder_of_another_is_neither_listed_nor_sent(shared: Shelf) -> None:
    paths = ("/areas/source/entries?path=folder", "/files/source/folder?", "/files/source/folder/inner?")
    seen = {name: [shared.door.client.get(f"{path}&username={name}").status_code for path in paths] for name in UIDS}

    assert seen == {"alice": [403] * 3, "bob": [200] * 3}


def test_a_folder_whose_names_alone_may_be_read_is_refused(shared: Shelf) -> None:
    shared.put("names-alone/inner", b"")
    bobs(shared.door.source / "names-alone", 0o744)
    answer = shared.door.client.get("/areas/source/entries?path=names-alone&username=bob")
    refused = shared.door.client.get("/areas/source/entries?path=names-alone")

    assert (answer.status_code, refused.status_code) == (200, 403)


def test_what_becomes_anothers_while_a_directory_is_sent_is_not_sent(shared: Shelf) -> None:
    shared.put("long/b", b"secret")
    shared.sparse("long/a", 64 * 1024 * 1024)
    with socket.create_connection(("127.0.0.1", int(shared.door.url.rpartition(":")[2])), timeout=PATIENCE) as client:
        client.sendall(b"GET /files/source/long?username=alice HTTP/1.0\r\n\r\n")
        got = client.recv(1000)
        bobs(shared.door.source / "long" / "b", 0o600)
        while got and (more := client.recv(1 << 20)):
            got = more[-1000:]

    assert b"secret" not in got
    item = shared.record("long", lambda row: row["status"] == "failed")["items"][0]
    assert item["error_type"] == "SourceUnreadable"


def test_the_demos_call_reads_as_its_user_and_the_record_says_who_acted(shared: Shelf) -> None:
    seen = {
        name: shared.door.stage("direct_download", source=f"own-{SMALL}", username=name).status_code
        for name in reversed(UIDS)
    }
    [refused, sent] = islice(shared.downloads_of(f"own-{SMALL}"), 2)

    assert seen == {"alice": 403, "bob": 200}
    assert [refused["acting_as"], sent["acting_as"]] == [
        "nobody: the download was refused",
        f"bob (uid {UIDS['bob']}, gid 70010)",
    ]


def test_those_who_ask_at_once_get_each_their_own(shared: Shelf) -> None:
    names = [*UIDS] * 100
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda name: ask(shared, f"own-{SMALL}", name).status_code, names))

    assert answers == [403, 200] * 100


@pytest.mark.parametrize("path", [f"/files/source/own-{SMALL}?", "/files/source/missing?", "/areas/source/entries?"])
def test_what_is_in_an_area_that_is_closed_to_users_is_refused_with_what_to_do(shared: Shelf, path: str) -> None:
    root = shared.door.source
    before = stat.S_IMODE(root.stat().st_mode)
    root.chmod(0o700)
    try:
        answers = [shared.door.client.get(f"{path}&username={name}") for name in UIDS]
        [told] = shared.door.client.post("/api/v1/archiveinfo", json={"paths": [f"/own-{SMALL}"]}).json()
    finally:
        root.chmod(before)

    assert [answer.status_code for answer in answers] == [403, 403]
    said = {*(answer.json()["detail"] for answer in answers), told["error"]}
    why = "users may not enter this area; the operator may set read_as: service for source"
    assert said == {f"Source cannot be read: {root}: {why}"}


def test_a_tape_client_is_not_told_what_is_in_a_closed_folder(shared: Shelf) -> None:
    paths = ["/folder/inner", "/folder/missing", f"/own-{SMALL}"]
    answer = shared.door.client.post("/api/v1/archiveinfo", json={"paths": paths}).json()

    assert [found.get("locality") for found in answer] == [None, None, "TAPE"]
    assert answer[0]["error"].replace("inner", "missing") == answer[1]["error"]
