"""Deliveries to a bucket of a real Ceph's, over TLS."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from stager.methods.bucket_path import BucketPath, bucket_path
from stager.methods.s3_copy import S3Copy
from stager.methods.store_area import StoreArea
from stager.runs.sender import Sender
from tests.methods.bucket_peer import BucketPeer, hurried_copy
from tests.methods.conftest import Areas
from tests.methods.staging_site import Site
from tests.methods.test_s3_copy import all_keys, make_tree, peer_of, replaced, unfinished
from tests.peers.running_rgw import RunningRgw
from tests.peers.s3.conftest import BUCKET, LOCKED, rgw  # noqa: F401 - the store: the same, for these tests

# In days: so that the tests' Ceph could be emptied soon after them.
SHORT = 1e-4


@pytest.fixture(params=[BUCKET, LOCKED])
def ceph_site(request: pytest.FixtureRequest, rgw: RunningRgw, areas: Areas, source: Path) -> Iterator[Site]:  # noqa: F811
    """Alice stages to a bucket, and to one that locks objects."""
    own = StoreArea(
        endpoint=rgw.endpoint,
        bucket=request.param,
        prefix=f"contract-{uuid.uuid4().hex}/{{username}}",
        access_key=rgw.access_key,
        secret_key=SecretStr(rgw.secret_key),
        certificates=rgw.certificate,
        retention_days=SHORT,
    ).of_user("alice")

    def place(path: str) -> BucketPath:
        return bucket_path(path, endpoint=own.endpoint, bucket=own.bucket, prefix=own.prefix, area="object-store")

    with hurried_copy(own) as method:
        peer = BucketPeer(home=Path("/nowhere"), place=place, owner=None, bucket=method.bucket)
        worker = Sender(method, areas.mover, {}, living=lambda _: ())
        yield Site(method=S3Copy.name, promise=S3Copy.promise, source=source, peer=peer, worker=worker)
        worker.end()


def test_what_is_delivered_is_known_again_retained_where_that_can_be_replaced_and_removed(ceph_site: Site) -> None:
    make_tree(ceph_site)
    (ceph_site.source / "large").write_bytes(os.urandom(11 << 20))
    tree = [f"tree/{path}" for path in (".stager-manifest.json", "a", "deep/large", "none")]
    peer = peer_of(ceph_site)
    deliveries = [ceph_site.delivered(ceph_site.item(name, name)) for name in ("a.fits", "large", "tree")]
    assert [ceph_site.stage(ceph_site.item(name, name)) for name in ("a.fits", "large", "tree")] == [None] * 3
    assert all_keys(ceph_site) == ["a.fits", "large", *tree]
    is_locked = peer.bucket.connection.bucket == LOCKED
    assert [peer.may_write(name) for name in ("a.fits", "large", "tree/a")] == [not is_locked] * 3
    assert [ceph_site.remove(one) for one in deliveries] == [True] * 3
    assert all_keys(ceph_site) == []
    for source, there in (("large", ["tree"]), ("tree", tree), ("a.fits", ["tree"])):
        replaced(ceph_site, source, "tree")
        assert all_keys(ceph_site) == there
    assert unfinished(ceph_site) == []
