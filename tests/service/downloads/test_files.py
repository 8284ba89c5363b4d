from __future__ import annotations

import base64
import os
import re
import socket
import zlib
from email.message import Message
from email.utils import formatdate
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.service.downloads.conftest import Shelf

pytestmark = pytest.mark.any_database

LARGE = 3 * 1024 * 1024 + 7
LONG_AGO = 1_700_000_000
OLDER, SAME, NEWER = (formatdate(LONG_AGO + shift, usegmt=True) for shift in (-10, 0, 10))


def parts_of(answer: httpx.Response) -> list[tuple[str, bytes]]:
    """Return the parts of a multipart/byteranges answer: what each says that it is, and its bytes."""
    said = Message()
    said["Content-Type"] = answer.headers["content-type"]
    boundary = f"--{said.get_param('boundary')}".encode()
    blocks = answer.content.split(b"\r\n" + boundary)
    assert (blocks[0], blocks[-1]) == (b"", b"--\r\n")
    parts = [block.removeprefix(b"\r\n").split(b"\r\n\r\n", 1) for block in blocks[1:-1]]
    return [(re.findall(rb"Content-Range: (.*)", head)[0].strip().decode(), body) for head, body in parts]


def test_a_file_comes_whole_with_what_is_known_of_it(shelf: Shelf, file: Path) -> None:
    answer = shelf.get(file)

    assert (answer.status_code, answer.content) == (200, file.read_bytes())
    assert answer.headers["content-length"] == str(file.stat().st_size)
    assert answer.headers["last-modified"] == SAME
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-disposition"] == f'attachment; filename="{file.name}"'
    assert re.fullmatch(r'"[^"]+"', answer.headers["etag"])


def test_a_head_says_what_a_get_says(shelf: Shelf, file: Path) -> None:
    own = {"date", "x-request-id"}
    answers = shelf.get(file), shelf.head(file)

    said = [{name: value for name, value in answer.headers.items() if name not in own} for answer in answers]
    assert said[0] == said[1]
    assert answers[1].content == b""


def test_a_small_files_digest_is_its_adler32_as_it_is_registered(shelf: Shelf) -> None:
    file = shelf.put("digested", b"abc")
    digest = shelf.get(file).headers["repr-digest"]

    assert digest == f"adler=:{base64.b64encode(zlib.adler32(b'abc').to_bytes(4, 'big')).decode()}:"


def test_a_checksum_on_record_makes_the_tag_and_the_digest(shelf: Shelf) -> None:
    data = shelf.content(LARGE + 1)
    file = shelf.put("recorded", data)
    before = shelf.head(file).headers
    shelf.knows(file, f"{zlib.adler32(data):08x}")
    after = shelf.head(file).headers

    assert before["etag"].startswith('"stat-')
    assert "repr-digest" not in before
    assert after["etag"].startswith(f'"adler32-{zlib.adler32(data):08x}-')
    assert base64.b64decode(after["repr-digest"].removeprefix("adler=:")[:-1]) == zlib.adler32(data).to_bytes(4, "big")


def test_a_download_goes_on_though_its_checksum_became_known_meanwhile(shelf: Shelf) -> None:
    data = shelf.content(LARGE + 2)
    file = shelf.put("found out", data)
    before = shelf.head(file).headers["etag"]
    shelf.knows(file, f"{zlib.adler32(data):08x}")

    rest = shelf.get(file, {"Range": f"bytes={LARGE}-", "If-Range": before})
    assert (rest.status_code, rest.content, rest.headers["etag"]) == (206, data[LARGE:], before)
    part, after = {"Range": "bytes=0-0"}, shelf.etag(file)
    assert after != before
    for headers, status in (
        ({"If-Match": before}, 200),
        ({"If-None-Match": before}, 304),
        ({"If-Match": after, "If-Range": before, **part}, 206),
        ({"If-Match": f"{after}, {before}", "If-Range": after, **part}, 206),
        ({"If-Match": after, "If-None-Match": before}, 304),
        ({"If-Range": f"W/{before}", **part}, 200),
        ({"If-Match": '"stat-other"'}, 412),
    ):
        assert shelf.get(file, headers).status_code == status, headers


def test_a_file_that_is_being_written_has_a_weak_tag(shelf: Shelf) -> None:
    fresh = shelf.door.source / "fresh"
    fresh.write_bytes(shelf.content(LARGE))
    tags = [shelf.etag(fresh)]
    while not tags[-1].startswith("W/"):  # the question took so long that it was no news
        fresh.touch()
        tags.append(shelf.etag(fresh))

    assert tags[-1].startswith('W/"stat-')


def test_another_content_of_the_same_size_and_time_has_another_tag(shelf: Shelf) -> None:
    one = shelf.put("versions", shelf.content(LARGE))
    first = shelf.etag(one)
    one.unlink()
    shelf.put("versions", shelf.content(LARGE)[::-1])

    assert shelf.etag(one) != first


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=500-", 500, None),
        ("bytes=-10", -10, None),
        ("bytes=-9999999", 0, None),
        ("bytes=990-99999999", 990, None),
        ("BYTES = 5-6", 5, 7),
        ("bytes=5-6,", 5, 7),
        ("bytes=99999999-,5-6", 5, 7),
    ],
)
def test_a_part_is_sent_alone(shelf: Shelf, file: Path, asked: str, start: int, end: int | None) -> None:
    data, answer = file.read_bytes(), shelf.get(file, {"Range": asked})

    first, behind, _ = slice(start, end).indices(len(data))
    assert (answer.status_code, answer.content) == (206, data[start:end])
    assert answer.headers["content-range"] == f"bytes {first}-{behind - 1}/{len(data)}"
    assert answer.headers["content-length"] == str(behind - first)


@pytest.mark.parametrize(
    "asked",
    ["items=0-5", "bytes", "bytes=", "bytes=a-b", "bytes=5-2", "bytes=-", "bytes=0-1;2-3", "bytes=0-,0-", "bytes=1-2-3",
     "bytes=" + ",".join(["0-0"] * 65), "bytes=" + "9" * 30 + "-"],
)  # fmt: skip
def test_what_makes_no_sense_as_a_range_is_answered_with_the_whole(shelf: Shelf, file: Path, asked: str) -> None:
    answer = shelf.get(file, {"Range": asked})

    assert (answer.status_code, answer.content) == (200, file.read_bytes())


@pytest.mark.parametrize("asked", ["bytes=99999999-", "bytes=-0", "bytes=99999999-999999999,88888888-"])
def test_a_part_outside_the_file_is_refused_with_its_length(shelf: Shelf, file: Path, asked: str) -> None:
    answer = shelf.get(file, {"Range": asked})

    assert (answer.status_code, answer.content) == (416, b"")
    assert answer.headers["content-range"] == f"bytes */{file.stat().st_size}"


def test_several_parts_come_in_the_order_in_which_they_are_asked_for(shelf: Shelf, file: Path) -> None:
    data, answer = file.read_bytes(), shelf.get(file, {"Range": "bytes=10-19,0-4,-3,99999999-"})

    size = len(data)
    assert answer.status_code == 206
    assert answer.headers["content-length"] == str(len(answer.content))
    assert parts_of(answer) == [
        (f"bytes 10-19/{size}", data[10:20]),
        (f"bytes 0-4/{size}", data[:5]),
        (f"bytes {size - 3}-{size - 1}/{size}", data[-3:]),
    ]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-None-Match": "{etag}"}, 304),
        ({"If-None-Match": "W/{etag}"}, 304),
        ({"If-None-Match": '"other", {etag}'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"other"'}, 200),
        ({"If-None-Match": '"other"', "If-Modified-Since": NEWER}, 200),
        ({"If-None-Match": "{etag}", "If-Modified-Since": OLDER}, 304),
        ({"If-Modified-Since": OLDER}, 200),
        ({"If-Modified-Since": SAME}, 304),
        ({"If-Modified-Since": NEWER}, 304),
        ({"If-Modified-Since": "yesterday"}, 200),
        ({"If-Match": "{etag}"}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": "W/{etag}"}, 412),
        ({"If-Match": '"other"'}, 412),
        ({"If-Match": "{etag}", "If-Unmodified-Since": OLDER}, 200),
        ({"If-Match": '"other"', "If-None-Match": "{etag}"}, 412),
        ({"If-Unmodified-Since": OLDER}, 412),
        ({"If-Unmodified-Since": SAME}, 200),
        ({"If-Unmodified-Since": "yesterday"}, 200),
        ({"If-None-Match": "{etag}", "Range": "bytes=0-1"}, 304),
        ({"If-Match": '"other"', "Range": "bytes=0-1"}, 412),
        ({"Range": "bytes=0-1", "If-Range": "{etag}"}, 206),
        ({"Range": "bytes=0-1", "If-Range": "W/{etag}"}, 200),
        ({"Range": "bytes=0-1", "If-Range": '"other"'}, 200),
        ({"Range": "bytes=0-1", "If-Range": SAME}, 206),
        ({"Range": "bytes=0-1", "If-Range": NEWER}, 200),
        ({"Range": "bytes=0-1", "If-Range": "yesterday"}, 200),
        ({"Range": "bytes=99999999-", "If-Range": '"other"'}, 200),
    ],
    ids=str,
)
def test_conditions_are_judged_as_rfc_9110_has_it(
    shelf: Shelf, file: Path, headers: dict[str, str], status: int
) -> None:
    tag = shelf.etag(file)
    answer = shelf.get(file, {name: said.replace("{etag}", tag) for name, said in headers.items()})

    assert answer.status_code == status
    assert answer.headers["etag"] == tag
    if status in (304, 412):
        assert answer.content == b""


def test_a_head_is_told_of_no_part(shelf: Shelf, file: Path) -> None:
    answer = shelf.head(file, {"Range": "bytes=0-1"})

    assert (answer.status_code, answer.headers["content-length"]) == (200, str(file.stat().st_size))


def test_an_empty_file_is_sent_and_has_no_parts(shelf: Shelf) -> None:
    empty = shelf.put("empty", b"")

    assert (shelf.get(empty).status_code, shelf.get(empty).content) == (200, b"")
    assert shelf.get(empty, {"Range": "bytes=0-"}).status_code == 416


@pytest.mark.parametrize(
    ("name", "disposition"),
    [
        (b"plain.fits", 'filename="plain.fits"'),
        (b'quoted"name\\.fits', r'filename="quoted\"name\\.fits"'),
        (b"new\nline", "filename=\"new_line\"; filename*=UTF-8''new%0Aline"),
        (b"100%25.fits", "filename=\"100%25.fits\"; filename*=UTF-8''100%2525.fits"),
        ("naïve €.fits".encode(), "filename=\"na_ve _.fits\"; filename*=UTF-8''na%C3%AFve%20%E2%82%AC.fits"),
        (b"not\xffutf-8", "filename=\"not_utf-8\"; filename*=UTF-8''not%EF%BF%BDutf-8"),
        (b"a;b=c, d", 'filename="a;b=c, d"'),
        (b"?#&", 'filename="?#&"'),
    ],
)
def test_a_file_is_offered_under_its_name_whatever_that_is(shelf: Shelf, name: bytes, disposition: str) -> None:
    shelf.put(f"names/{os.fsdecode(name)}", name)
    answer = shelf.door.client.get(shelf.address(b"names/" + name))

    assert (answer.status_code, answer.content) == (200, name)
    assert answer.headers["content-disposition"] == f"attachment; {disposition}"


def test_a_download_is_recorded_with_its_bytes_and_its_checksum(shelf: Shelf) -> None:
    file = shelf.put("on-record", b"abcdef")
    shelf.get(file, {"Range": "bytes=1-3"}, username="alice")

    found = shelf.record(file.name, lambda row: row["status"] == "completed")
    item = found["items"][0]
    assert (found["username"], found["method"], found["source_area"]) == ("alice", "direct_download", "source")
    assert (item["progress"]["bytes_done"], item["size_bytes"]) == (3, 6)
    assert (item["checksum"], item["checksum_algorithm"]) == (f"{zlib.adler32(b'abcdef'):08x}", "adler32")


def test_a_large_download_is_recorded_to_its_last_byte(shelf: Shelf) -> None:
    file = shelf.put("large-on-record", shelf.content(LARGE))
    shelf.get(file)

    found = shelf.record(file.name, lambda row: row["status"] == "completed")
    assert found["username"] == "anonymous"
    assert found["items"][0]["progress"]["bytes_done"] == LARGE


def test_a_client_that_hangs_up_closes_the_record_with_what_it_took(shelf: Shelf) -> None:
    size = 256 * 1024 * 1024  # more than all buffers between the door and a client
    file = shelf.sparse("hung-up", size)
    client = socket.create_connection(("127.0.0.1", int(shelf.door.url.rpartition(":")[2])))
    client.sendall(f"GET {shelf.address(file.name)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    taken_by_client = b""
    while b"\r\n\r\n\0" not in taken_by_client:  # the head, and something of the file
        more = client.recv(65536)
        assert more, taken_by_client
        taken_by_client += more
    client.close()

    found = shelf.record(file.name, lambda row: row["status"] == "cancelled")
    taken = found["items"][0]["progress"]["bytes_done"]
    assert taken_by_client.startswith(b"HTTP/1.1 200")
    assert 0 < taken < size
    assert found["error_reason"] == f"the client hung up after {taken} of {size} bytes"


def test_a_file_that_gets_shorter_breaks_the_connection_and_the_record_says_why(shelf: Shelf) -> None:
    file = shelf.sparse("shrinks", 256 * 1024 * 1024)
    with shelf.door.client.stream("GET", shelf.address(file.name)) as answer:
        blocks = answer.iter_raw(65536)
        next(blocks)
        os.truncate(file, 1)
        with pytest.raises(httpx.RemoteProtocolError):
            list(blocks)

    found = shelf.record(file.name, lambda row: row["status"] == "failed")
    assert found["items"][0]["error_type"] == "SourceChanged"


def test_neither_a_head_nor_what_sends_no_bytes_is_a_download(shelf: Shelf) -> None:
    file = shelf.put("looked-at", b"abc")
    shelf.head(file)
    shelf.get(file, {"If-None-Match": "*"})
    shelf.get(file, {"If-Match": '"other"'})
    shelf.get(file, {"Range": "bytes=99-"})

    assert list(shelf.downloads_of(file.name)) == []


@pytest.mark.parametrize("size", [1000, LARGE])
def test_the_demos_call_answers_with_the_file(shelf: Shelf, size: int) -> None:
    file = shelf.put(f"demo-{size}", shelf.content(size))
    answer = shelf.door.stage("direct_download", source=file.name, headers={"Range": "bytes=0-1"})

    assert (answer.status_code, answer.content) == (200, shelf.content(size))
    assert answer.headers["content-type"] == "application/octet-stream"
    found = shelf.record(file.name, lambda row: row["status"] == "completed")
    assert (found["items"][0]["destination"], found["username"]) == ("b.fits", "alice")


def test_the_demos_call_for_what_is_not_there_is_on_record(shelf: Shelf) -> None:
    answer = shelf.door.stage("direct_download", source="nothing-there")

    assert answer.status_code == 400
    assert answer.json()["detail"] == f"Source path does not exist: {shelf.door.source}/nothing-there"
    found = shelf.record("nothing-there", lambda row: row["status"] == "failed")
    assert found["items"][0]["error_type"] == "SourceNotFound"


def test_a_users_own_file_is_found_in_their_folder(shelf: Shelf) -> None:
    (shelf.door.user_areas / "alice").mkdir(exist_ok=True)
    (shelf.door.user_areas / "alice" / "mine").write_bytes(b"mine")

    theirs = shelf.door.client.get(shelf.address("mine", area="user"), params={"username": "alice"})
    nobodys = shelf.door.client.get(shelf.address("mine", area="user"))
    assert (theirs.status_code, theirs.content) == (200, b"mine")
    assert nobodys.status_code == 400
