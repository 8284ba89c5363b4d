"""A worker that dies during a delivery to a bucket: nothing half counts as delivered, and the end is right."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from stager.methods import bucket_journal
from stager.methods.bucket_manifest import manifest_at
from stager.methods.bucket_path import BucketPath
from stager.methods.bucket_transfer import SENT_LAST_BYTES
from stager.methods.s3_copy import S3Copy
from stager.methods.store_area import StoreArea
from stager.peers.s3.single import put
from stager.vocabulary import OnConflict
from tests.methods.bucket_peer import BucketPeer
from tests.methods.killed_worker import staging
from tests.methods.staging_site import CONTENT, Site
from tests.patience import PATIENCE
from tests.peers.faulty_proxy import FaultyProxy, done_and_then

LARGE = os.urandom(SENT_LAST_BYTES + 1)
# Calls by which a process tries what the store is able to do, before all others.
TRIES = 14


@dataclass(frozen=True)
class Proxied:
    """A site whose workers reach the store through a proxy, by the same address as everybody."""

    site: Site
    area: StoreArea
    proxy: FaultyProxy
    peer: BucketPeer

    def place(self, path: str) -> BucketPath:
        place = self.peer.place(path)
        assert isinstance(place, BucketPath)
        return place

    def keys(self, path: str) -> list[str]:
        return self.peer.keys_beside(path)

    def parts(self, path: str) -> list[str]:
        """Return what is there of uploads; one whose answer was lost has no part, and nobody knows its id."""
        bucket, top = self.peer.bucket, self.place(path).parent.inside
        found = [bucket.ask("list_parts", one.key, UploadId=one.upload_id) for one in bucket.unfinished(top)]
        return [str(part) for answer in found for part in answer.get("Parts", [])]

    def empty(self, path: str) -> None:
        top = self.place(path).parent.inside
        self.peer.bucket.delete_many([one.key for one in self.peer.bucket.list(top)])
        for one in [*self.peer.bucket.unfinished(top)]:
            self.peer.bucket.abort(one.key, one.upload_id)


@pytest.fixture
def proxied(bucket_site: Site, store_area: StoreArea) -> Iterator[Proxied]:
    assert isinstance(bucket_site.peer, BucketPeer)
    with FaultyProxy.before(store_area.endpoint).running() as proxy:
        behind = store_area.model_copy(update={"endpoint": proxy.in_front_of(store_area.endpoint).rstrip("/")})
        yield Proxied(bucket_site, behind, proxy, bucket_site.peer)


# The source, what is there before, what is there when it is whole.
KINDS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "a small file": ("a.fits", (), ("product",)),
    "a large file that replaces another": ("large", ("product",), ("product",)),
    "a new directory": ("tree", (), ("product/a", "product/large")),
    "a directory that replaces another": ("tree", ("product/old",), ("product/a", "product/large")),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_that_is_killed_at_any_call_is_followed_by_one_that_ends_right(
    proxied: Proxied, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_journal, "LONGEST_COMPLETION", timedelta())
    source, before, whole = KINDS[kind]
    site = proxied.site
    (site.source / "large").write_bytes(LARGE)
    (site.source / "tree").mkdir(mode=0o755)
    (site.source / "tree/a").write_bytes(CONTENT)
    (site.source / "tree/large").write_bytes(LARGE)
    item = replace(site.item(source, "folder/product"), on_conflict=OnConflict.REPLACE)
    is_directory = source == "tree"
    was_killed, number = True, TRIES  # what only reads leaves all as it was after the call before
    while was_killed:
        proxied.empty("folder/product")
        for path in before:
            put(proxied.peer.bucket, proxied.place(f"folder/{path}").object_key, b"old", replace=True)
        with staging(S3Copy(), item, proxied.area) as worker:
            proxied.proxy.break_calls("change", done_and_then(worker.kill), spared=number)
            worker.start()
            worker.join(PATIENCE)
            was_killed = worker.exitcode == -signal.SIGKILL
        if is_directory and manifest_at(proxied.peer.bucket, proxied.place("folder/product")):
            assert {*whole} <= {*proxied.keys("folder/product")}
        elif not is_directory and "product" in proxied.keys("folder/product"):
            assert site.peer.read("folder/product") in {b"old", CONTENT, LARGE}
        site.worker.sweep("", [item.destination.parent])
        site.stage(item)
        manifest = ("product/.stager-manifest.json",) if is_directory else ()
        assert proxied.keys("folder/product") == [*manifest, *whole]
        assert proxied.parts("folder/product") == []
        number += 1
    assert number > TRIES + (1 if kind == "a small file" else 4)
