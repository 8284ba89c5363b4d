"""What else is asked of a bucket, of a real Ceph."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from stager.errors import BucketFull, DestinationExists, DestinationTampered, PeerRefused
from stager.peers.certificates import trusting
from stager.peers.s3.bucket import Bucket
from stager.peers.s3.locks import retain
from stager.peers.s3.single import put
from tests.patience import PATIENCE
from tests.peers.running_rgw import RunningRgw
from tests.peers.s3.conftest import LOCKED, brought, connection_to, content_of, hurried, random_bytes, raw_client


@pytest.fixture
def locked(rgw: RunningRgw) -> Iterator[Bucket]:
    """A bucket of Ceph's that locks objects."""
    with connection_to(rgw, bucket=LOCKED).opened() as bucket:
        yield hurried(bucket)


def test_nothing_is_at_a_key_where_nothing_was_brought(bucket: Bucket) -> None:
    assert bucket.look(f"{bucket.prefix}/a") is None
    bucket.delete(f"{bucket.prefix}/a")


def test_a_small_object_is_written_once(bucket: Bucket) -> None:
    key = f"{bucket.prefix}/manifest.json"
    put(bucket, key, b"{}", metadata={"name": "é"}, content_type="application/json")
    with pytest.raises(DestinationExists):
        put(bucket, key, b"[]")
    found = bucket.look(key)
    assert found
    assert (found.metadata["name"], content_of(bucket, key)) == ("é", b"{}")
    put(bucket, key, b"[1]", replace=True)
    assert content_of(bucket, key) == b"[1]"


def test_a_part_of_an_object_can_be_read(bucket: Bucket) -> None:
    uploaded = brought(bucket, b"0123456789", "a")
    with bucket.read(uploaded.key, start=2, end=5) as pieces:
        assert b"".join(pieces) == b"234"


def test_what_is_read_is_the_object_that_is_meant(bucket: Bucket) -> None:
    uploaded = brought(bucket, b"0123456789", "a")
    with bucket.read(uploaded.key, start=2, end=5, etag=uploaded.etag) as pieces:
        assert b"".join(pieces) == b"234"


@pytest.mark.parametrize("start", [0, 2])
def test_an_object_that_somebody_has_replaced_is_not_read_for_the_one_before(ceph: Bucket, start: int) -> None:
    uploaded = brought(ceph, b"0123456789", "a")
    put(ceph, uploaded.key, b"another", replace=True)
    with pytest.raises(DestinationTampered), ceph.read(uploaded.key, start=start, etag=uploaded.etag):
        pass


def test_what_is_retained_cannot_be_deleted_for_good(locked: Bucket) -> None:
    uploaded = brought(locked, b"kept", "a")
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    retain(locked, uploaded.key, until, version_id=uploaded.version_id)
    found = locked.look(uploaded.key)
    assert found
    assert found.retained_until == until
    with pytest.raises(PeerRefused):
        locked.delete(uploaded.key, version_id=uploaded.version_id)


def test_what_is_replaced_stays_as_a_version(locked: Bucket) -> None:
    first = brought(locked, b"first", "a")
    second = brought(locked, b"second", "a", replace=True)
    assert first.version_id != second.version_id
    with locked.read(first.key, version_id=first.version_id) as pieces:
        assert b"".join(pieces) == b"first"


def test_an_address_to_read_one_object_by_needs_no_keys(rgw: RunningRgw, ceph: Bucket) -> None:
    uploaded, other = brought(ceph, b"shown", "a"), brought(ceph, b"hidden", "b")
    url = ceph.presigned(uploaded.key, "GET", seconds=60, filename="é.fits")
    with httpx.Client(verify=trusting(rgw.certificate)) as client:
        answer = client.get(url)
        assert (answer.status_code, answer.content) == (200, b"shown")
        assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''%C3%A9.fits"
        assert client.get(url.replace(uploaded.key, other.key)).status_code == httpx.codes.FORBIDDEN
    assert rgw.secret_key not in url


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_address_to_read_by_dies_after_its_time(rgw: RunningRgw, ceph: Bucket, method: str) -> None:
    key = brought(ceph, b"shown", "a").key
    lasting, url = (ceph.presigned(key, method, seconds=seconds, filename="a") for seconds in (3600, 1))
    deadline = time.monotonic() + PATIENCE
    with httpx.Client(verify=trusting(rgw.certificate)) as client:
        assert client.request(method, lasting).is_success
        while client.request(method, url).status_code != httpx.codes.FORBIDDEN:
            assert time.monotonic() < deadline
            time.sleep(0.2)


@pytest.mark.parametrize("size_bytes", [1 << 20, 11 << 20])
def test_a_bucket_that_is_full_is_told_and_nothing_stays_there(rgw: RunningRgw, size_bytes: int) -> None:
    name = f"full-{size_bytes}"
    connection = connection_to(rgw, bucket=name)
    with raw_client(connection) as client:
        client.create_bucket(Bucket=name)
    with connection.opened() as opened:
        bucket = hurried(opened)
        brought(bucket, b"", "first")
        rgw.administer("quota", "set", "--quota-scope=bucket", "--bucket", name, "--max-size", "65536")
        rgw.administer("quota", "enable", "--quota-scope=bucket", "--bucket", name)
        with pytest.raises(BucketFull, match=r"The bucket is full: s3://.*QuotaExceeded"):
            brought(bucket, random_bytes(size_bytes), "a")
        assert [found.key for found in bucket.list("")] == [f"{bucket.prefix}/first"]
        assert list(bucket.unfinished("")) == []
