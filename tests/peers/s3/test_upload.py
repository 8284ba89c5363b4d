"""Files of every size get into real buckets, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest

from stager.checksums import ADLER32, MD5, SHA256
from stager.errors import (
    Cancelled,
    CorruptedInTransfer,
    DestinationExists,
    DestinationTampered,
    KeyNotTaken,
    SourceChanged,
)
from stager.peers.connections import left_once
from stager.peers.s3.abilities import Abilities
from stager.peers.s3.bucket import Bucket
from stager.peers.s3.etags import etag_of
from stager.peers.s3.objects import UnfinishedUpload
from stager.peers.s3.single import put, put_from
from stager.peers.s3.upload import HELD_BYTES, read_back, require_same, upload
from tests.peers.s3.conftest import LEAST_PART_BYTES, brought, content_of, ignore, opened, random_bytes

PART = LEAST_PART_BYTES
SIZES = [0, 1, HELD_BYTES, HELD_BYTES + 1, PART - 1, PART, PART + 1, 2 * PART, 2 * PART + 7]
LARGE = 2 * PART + 7


@pytest.mark.parametrize("size_bytes", SIZES)
def test_what_arrives_is_what_was_sent(bucket: Bucket, size_bytes: int) -> None:
    content, counted, begun = random_bytes(size_bytes), list[int](), list[tuple[str, str]]()
    uploaded = brought(bucket, content, "a", on_bytes=counted.append, on_multipart=lambda *id_: begun.append(id_))
    assert content_of(bucket, uploaded.key) == content
    assert (uploaded.size_bytes, sum(counted)) == (size_bytes, size_bytes)
    assert (len(begun), uploaded.part_count) == (size_bytes > PART, max(1, -(-size_bytes // PART)))
    assert uploaded.checksums[SHA256].value == hashlib.sha256(content).hexdigest()
    assert uploaded.checksums[ADLER32].value == f"{zlib.adler32(content):08x}"
    assert uploaded.verified_by == "md5"
    assert [found.key for found in bucket.list(f"{bucket.prefix}/")] == [uploaded.key]
    assert list(bucket.unfinished(f"{bucket.prefix}/")) == []


@pytest.mark.parametrize("size_bytes", [1, LARGE])
def test_an_object_tells_which_upload_made_it_and_what_it_is(ceph: Bucket, size_bytes: int) -> None:
    uploaded = brought(ceph, random_bytes(size_bytes), "a")
    found = require_same(ceph, uploaded)
    told = found.checksums or ceph.tags(found.key)
    assert (found.attempt, found.part_bytes) == (uploaded.attempt, PART if size_bytes > PART else None)
    assert uploaded.has_checksums
    assert told in (
        {name: uploaded.checksums[name] for name in (ADLER32, SHA256)},
        {f"stager-{name}": uploaded.checksums[name].value for name in (ADLER32, SHA256)},
    )


@pytest.mark.parametrize("size_bytes", [0, 1, PART, LARGE])
def test_the_etag_of_a_source_is_known_without_sending_it(ceph: Bucket, size_bytes: int) -> None:
    content = random_bytes(size_bytes)
    uploaded = brought(ceph, content, "a")
    found = ceph.look(uploaded.key)
    assert found
    with opened(content) as source:
        etag, sums = etag_of(source, "source", part_bytes=found.part_bytes, on_bytes=ignore)
    assert (etag, sums[SHA256], sums[MD5].value) == (
        found.etag,
        uploaded.checksums[SHA256],
        hashlib.md5(content).hexdigest(),
    )


@pytest.mark.parametrize("size_bytes", [1, LARGE])
def test_what_is_there_stays_unless_it_is_to_be_replaced(bucket: Bucket, size_bytes: int) -> None:
    first = brought(bucket, b"first", "a")
    content = random_bytes(size_bytes)
    with pytest.raises(DestinationExists, match=f"s3://staging/{first.key}"):
        brought(bucket, content, "a")
    assert content_of(bucket, first.key) == b"first"
    brought(bucket, content, "a", replace=True)
    assert content_of(bucket, first.key) == content
    with pytest.raises(DestinationTampered):
        require_same(bucket, first)
    assert list(bucket.unfinished(f"{bucket.prefix}/")) == []


@pytest.mark.parametrize("size_bytes", [1, LARGE])
def test_what_comes_there_while_it_is_sent_stays(ceph: Bucket, size_bytes: int) -> None:
    def come(_: int) -> None:
        if not ceph.look(f"{ceph.prefix}/b"):
            put(ceph, f"{ceph.prefix}/b", b"another's")

    brought(ceph, b"", "a")
    if size_bytes == 1:
        come(0)
    with pytest.raises(DestinationExists):
        brought(ceph, random_bytes(size_bytes), "b", on_bytes=come)
    assert content_of(ceph, f"{ceph.prefix}/b") == b"another's"
    assert list(ceph.unfinished(f"{ceph.prefix}/")) == []


def test_of_two_who_write_small_files_to_one_key_one_is_told(ceph: Bucket) -> None:
    both = threading.Barrier(2)

    def bring(content: bytes) -> str:
        both.wait()
        try:
            return brought(ceph, content, "a").attempt
        except DestinationExists:
            return ""

    with ThreadPoolExecutor(2) as threads:
        attempts = list(threads.map(bring, [b"one", b"two"]))
    assert sorted(map(bool, attempts)) == [False, True]


@pytest.mark.parametrize("when", ["recorded", "sent"])
def test_an_upload_that_is_cancelled_leaves_no_parts(bucket: Bucket, when: str) -> None:
    left = threading.Event()

    def cancel(*_: object) -> None:
        left.set()
        raise Cancelled

    given = {"on_multipart": cancel} if when == "recorded" else {"on_bytes": cancel}
    with pytest.raises(Cancelled), left_once(left.is_set):
        brought(bucket, random_bytes(LARGE), "a", **given)  # type: ignore[arg-type]
    assert list(bucket.unfinished(f"{bucket.prefix}/")) == []
    assert list(bucket.list(f"{bucket.prefix}/")) == []


def test_parts_are_on_record_before_they_are_sent_and_can_be_removed(ceph: Bucket) -> None:
    found = list[UnfinishedUpload]()

    def record(key: str, upload_id: str) -> None:
        found.extend(ceph.unfinished(f"{ceph.prefix}/"))
        assert (found[0].key, found[0].upload_id) == (key, upload_id)
        assert ceph.abort(key, upload_id)
        assert not ceph.abort(key, upload_id)

    with pytest.raises(DestinationTampered, match="somebody has removed its parts"):
        brought(ceph, random_bytes(LARGE), "a", on_multipart=record)
    assert len(found) == 1
    assert list(ceph.list(f"{ceph.prefix}/")) == []


@pytest.mark.parametrize("size_bytes", [HELD_BYTES + 1, LARGE])
def test_a_source_that_changes_is_not_delivered(bucket: Bucket, size_bytes: int) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(random_bytes(size_bytes))
        file.flush()

        def change(_: int) -> None:
            os.truncate(file.name, size_bytes - 1)

        given = {"source_name": "my source", "on_bytes": change, "on_multipart": ignore}
        with pytest.raises(SourceChanged, match="my source"):
            upload(bucket, file.fileno(), f"{bucket.prefix}/a", **given)  # type: ignore[arg-type]
    assert list(bucket.list(f"{bucket.prefix}/")) == []
    assert list(bucket.unfinished(f"{bucket.prefix}/")) == []


@pytest.mark.parametrize("able", [Abilities(etag_is_md5=True, refuses_existing_put=True), Abilities()])
def test_a_small_object_that_is_another_than_was_read_is_removed(
    ceph: Bucket, monkeypatch: pytest.MonkeyPatch, able: Abilities
) -> None:
    def ask_unchecked(operation: str, key: str = "", **given: Any) -> dict[str, Any]:
        given.pop("ContentMD5", None)
        return Bucket.ask(ceph, operation, key, **given)

    monkeypatch.setattr(ceph, "ask", ask_unchecked)
    monkeypatch.setattr(ceph, "abilities", able)
    key, md5 = f"{ceph.prefix}/a", hashlib.md5(b"read").hexdigest()
    with pytest.raises(CorruptedInTransfer, match="something else"):
        put_from(ceph, key, lambda: b"sent", size_bytes=4, md5=md5)
    assert ceph.look(key) is None
    put_from(ceph, key, lambda: b"read", size_bytes=4, md5=md5)
    assert content_of(ceph, key) == b"read"


def test_parts_that_no_thread_has_begun_are_not_waited_for(ceph: Bucket) -> None:
    is_over = threading.Event()
    others = [ceph.parts.submit(is_over.wait) for _ in range(ceph.connection.parts_at_once)]
    cancelled = iter([False, False])

    def cancel(_: int) -> None:
        if next(cancelled, True):
            raise Cancelled

    try:
        with pytest.raises(Cancelled):
            brought(ceph, random_bytes(LARGE), "a", on_bytes=cancel)
        assert list(ceph.unfinished(f"{ceph.prefix}/")) == []
    finally:
        is_over.set()
        wait(others)


def test_memory_does_not_grow_with_the_file(ceph: Bucket) -> None:
    with tempfile.TemporaryFile() as file:
        os.truncate(file.fileno(), 64 << 20)
        brought(ceph, b"", "first")
        tracemalloc.start()
        try:
            upload(ceph, file.fileno(), f"{ceph.prefix}/a", source_name="source", on_bytes=ignore, on_multipart=ignore)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 16 << 20


@pytest.mark.parametrize("size_bytes", [1, LARGE])
def test_what_was_brought_is_read_back_and_compared(bucket: Bucket, size_bytes: int) -> None:
    uploaded, read = brought(bucket, random_bytes(size_bytes), "a"), list[int]()
    read_back(bucket, uploaded, on_bytes=read.append)
    assert sum(read) == size_bytes
    brought(bucket, random_bytes(size_bytes), "a", replace=True)
    with pytest.raises(DestinationTampered, match="another content"):
        read_back(bucket, uploaded, on_bytes=ignore)
    bucket.delete(uploaded.key)
    with pytest.raises(DestinationTampered):
        read_back(bucket, uploaded, on_bytes=ignore)
    with pytest.raises(DestinationTampered, match="gone"):
        require_same(bucket, uploaded)


def test_a_key_that_no_store_takes_is_refused_before_the_first_byte(bucket: Bucket) -> None:
    with pytest.raises(KeyNotTaken):
        brought(bucket, b"", "a/../b")
    assert list(bucket.list(f"{bucket.prefix}/")) == []


@pytest.mark.parametrize("name", ["a b", "é", "e\u0301", "a%20b", "a+b#?&=;", "\U0001f52d", "'\"\\<>", "x" * 200])
def test_a_name_of_any_letters_is_that_of_the_object(bucket: Bucket, name: str) -> None:
    uploaded = brought(bucket, name.encode(), name)
    assert [found.key for found in bucket.list(f"{bucket.prefix}/")] == [f"{bucket.prefix}/{name}"]
    assert content_of(bucket, uploaded.key) == name.encode()


def test_many_small_files_go_side_by_side_and_are_listed_whole(ceph: Bucket) -> None:
    names = [f"folder/{number:04}" for number in range(1100)]
    with ThreadPoolExecutor(ceph.connection.files_at_once) as threads:
        list(threads.map(lambda name: brought(ceph, name.encode(), name), names))
    listed = [found.key.removeprefix(f"{ceph.prefix}/") for found in ceph.list(f"{ceph.prefix}/folder/")]
    assert listed == names
    assert len(list(ceph.list(f"{ceph.prefix}/", limit=1050))) == 1050
    deleted: list[str] = []
    ceph.delete_many([f"{ceph.prefix}/{name}" for name in names], on_deleted=deleted.append)
    assert len(deleted) == 1100
    assert list(ceph.list(f"{ceph.prefix}/")) == []
