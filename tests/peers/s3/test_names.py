"""Which paths can be keys, and how large parts are."""

from __future__ import annotations

import os

import pytest

from stager.checksums import ADLER32, SHA256, Checksum, ChecksumAlgorithm
from stager.errors import KeyNotTaken
from stager.peers.s3.multipart import MOST_PARTS, part_bytes_of
from stager.peers.s3.names import MAX_KEY_BYTES, key_of, same_when_composed
from stager.peers.s3.objects import StoredObject, metadata_of, written

MIB = 1 << 20


@pytest.mark.parametrize(
    ("prefix", "path", "key"),
    [
        ("", "a/b", "a/b"),
        ("area/alice", "a b/é.fits", "area/alice/a b/é.fits"),
        ("p", "e\u0301".encode(), "p/e\u0301"),
        ("p", "...", "p/..."),
        ("p", "x" * (MAX_KEY_BYTES - 2), "p/" + "x" * (MAX_KEY_BYTES - 2)),
    ],
)
def test_a_key_has_the_paths_own_bytes(prefix: str, path: str | bytes, key: str) -> None:
    assert key_of(prefix, path) == key


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (b"\xff.fits", "not UTF-8"),
        (os.fsdecode(b"a/\xff"), "not UTF-8"),
        ("", "a name is empty"),
        ("/a", "a name is empty"),
        ("a//b", "a name is empty"),
        ("a/", "a name is empty"),
        ("a/./b", "'.' is no name"),
        ("../b", "'..' is no name"),
        ("a\nb", "U+000A"),
        ("a\0", "U+0000"),
        ("a\uffff", "U+FFFF"),
        ("é" * 512, "longer than 1024 bytes"),
    ],
)
def test_a_path_that_is_no_key_is_refused_with_its_name(path: str | bytes, words: str) -> None:
    with pytest.raises(KeyNotTaken) as raised:
        key_of("p", path)
    assert words in raised.value.message
    assert raised.value.path


def test_names_that_only_look_alike_are_told() -> None:
    assert same_when_composed(["a", "é", "b", "e\u0301"]) == ("é", "e\u0301")
    assert same_when_composed(["a", "a", "b"]) is None


@pytest.mark.parametrize("size_bytes", [1, 16 * MIB, 16_000 * MIB, 16_000 * MIB + 1, 100_000 * MIB + 5, 5 << 40])
def test_a_file_has_no_more_parts_than_stores_put_together(size_bytes: int) -> None:
    part_bytes = part_bytes_of(size_bytes, 16 * MIB)
    assert part_bytes >= 16 * MIB
    assert -(-size_bytes // part_bytes) <= MOST_PARTS
    assert part_bytes <= 5 << 30 or size_bytes > MOST_PARTS * (5 << 30)


def test_metadata_are_ascii_and_come_back_as_they_were() -> None:
    value = "é %25 'a' + b"
    sent = written({"name": value})
    assert sent["name"].isascii()
    assert StoredObject.told("k", {"ContentLength": 1, "Metadata": {"Name": sent["name"]}}).metadata == {"name": value}


def test_of_what_stands_in_metadata_only_checksums_count() -> None:
    sums: dict[ChecksumAlgorithm, Checksum] = {ADLER32: Checksum.parse("1"), SHA256: Checksum.parse("0" * 64)}
    told = StoredObject(key="k", size_bytes=1, metadata=metadata_of(sums))
    assert told.checksums == sums
    odd = {"stager-sha256": "none", "stager-adler32": "", "stager-part-bytes": "-1"}
    assert StoredObject(key="k", size_bytes=1, metadata=odd).checksums == {}
    assert StoredObject(key="k", size_bytes=1, metadata=odd).part_bytes is None
    assert StoredObject(key="k", size_bytes=1, metadata={"stager-part-bytes": "9" * 5000}).part_bytes is None


@pytest.mark.parametrize(
    ("etag", "parts"), [("0" * 32, None), ("0" * 32 + "-7", 7), ("x-7", None), ("", None), ("0" * 32 + "-", None)]
)
def test_an_etag_tells_the_number_of_parts_only_in_amazons_form(etag: str, parts: int | None) -> None:
    assert StoredObject(key="k", size_bytes=1, etag=etag).parts == parts
