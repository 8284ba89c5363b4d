"""Real object stores, each started once, and buckets of them."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from stager.peers.s3.bucket import Bucket
from stager.peers.s3.client import client_for
from stager.peers.s3.connection import StoreConnection
from stager.peers.s3.upload import upload
from stager.peers.s3.uploaded import UploadedObject
from tests.open_folder import open_folder
from tests.peers.running_rclone import PROGRAM, RunningRclone
from tests.peers.running_rgw import RunningRgw, is_installed

BUCKET, LOCKED = "staging", "locked"
LEAST_PART_BYTES = 5 << 20  # of all but the last: Ceph takes no smaller ones


@pytest.fixture(scope="session")
def rgw() -> Iterator[RunningRgw]:
    """The session's Ceph, with a bucket that locks objects and one that does not: leave it running."""
    if not is_installed():
        pytest.skip("needs Ceph's programs (Debian: apt-get install ceph-mon ceph-osd radosgw)")
    with open_folder() as folder:
        store = RunningRgw(folder)
        try:
            store.start()
            with raw_client(connection_to(store)) as client:
                client.create_bucket(Bucket=BUCKET)
                client.create_bucket(Bucket=LOCKED, ObjectLockEnabledForBucket=True)
            yield store
        finally:
            store.stop()


@pytest.fixture(scope="session")
def rclone() -> Iterator[RunningRclone]:
    """The session's rclone: leave it running."""
    if PROGRAM is None:
        pytest.skip("needs rclone (`make test` installs it)")
    with open_folder() as folder:
        store = RunningRclone(folder)
        try:
            store.start()
            (folder / "store" / BUCKET).mkdir()
            yield store
        finally:
            store.stop()


def connection_to(store: RunningRgw | RunningRclone, **given: Any) -> StoreConnection:
    """Return how a bucket is reached, with a prefix of the test's own."""
    return StoreConnection.model_validate(
        {
            "endpoint": store.endpoint,
            "bucket": BUCKET,
            "prefix": f"test-{uuid.uuid4().hex}",
            "access_key": store.access_key,
            "secret_key": store.secret_key,
            "certificates": getattr(store, "certificate", ""),
        }
        | given
    )


@contextmanager
def raw_client(connection: StoreConnection) -> Iterator[Any]:
    """Give boto's client, for what an administrator does."""
    keys = connection.access_key, connection.secret_key
    with client_for(connection, access_key=keys[0], secret_key=keys[1], session_token=None) as client:
        yield client


@pytest.fixture(scope="session", params=["rgw", "rclone"])
def shared_bucket(request: pytest.FixtureRequest) -> Iterator[Bucket]:
    """A bucket of each store."""
    with connection_to(request.getfixturevalue(request.param)).opened() as bucket:
        yield hurried(bucket)


@pytest.fixture(scope="session")
def shared_ceph(rgw: RunningRgw) -> Iterator[Bucket]:
    """A bucket of Ceph's."""
    with connection_to(rgw).opened() as bucket:
        yield hurried(bucket)


@pytest.fixture
def bucket(shared_bucket: Bucket) -> Bucket:
    """A bucket of each store, with a prefix of the test's own."""
    return with_prefix(shared_bucket)


@pytest.fixture
def ceph(shared_ceph: Bucket) -> Bucket:
    """A bucket of Ceph's, with a prefix of the test's own."""
    return with_prefix(shared_ceph)


def with_prefix(bucket: Bucket) -> Bucket:
    """Return a bucket with a prefix that nobody else uses."""
    bucket.prefix = f"test-{uuid.uuid4().hex}"
    return bucket


def hurried(bucket: Bucket) -> Bucket:
    """Return a bucket into which small files go in parts, and that is asked again at once."""
    bucket.single_bytes = bucket.part_bytes = LEAST_PART_BYTES
    bucket.pace.delays_seconds = (0.01,) * 5
    bucket.pace.completion_delays_seconds = (0.01,) * 4
    return bucket


@contextmanager
def opened(content: bytes) -> Iterator[int]:
    """Give the descriptor of a file with some content."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        yield file.fileno()


def ignore(*_: object) -> None:
    """Count no bytes, and record no upload."""


def brought(
    bucket: Bucket,
    content: bytes,
    key: str,
    *,
    on_bytes: Callable[[int], None] = ignore,
    on_multipart: Callable[[str, str], None] = ignore,
    replace: bool = False,
) -> UploadedObject:
    """Bring some content to a key below the bucket's prefix."""
    with opened(content) as source:
        send = partial(upload, bucket, source, f"{bucket.prefix}/{key}", source_name="source")
        return send(on_bytes=on_bytes, on_multipart=on_multipart, replace=replace)


def content_of(bucket: Bucket, key: str) -> bytes:
    """Return what is at a key."""
    with bucket.read(key) as pieces:
        return b"".join(pieces)


def random_bytes(size_bytes: int) -> bytes:
    return os.urandom(size_bytes)
