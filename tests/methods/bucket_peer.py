"""A bucket that is a folder on the tests' disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stager.methods.bucket_copy import BucketCopy
from stager.methods.bucket_path import BucketPath
from stager.methods.store_area import StoreArea
from stager.peers.s3.bucket import Bucket
from stager.peers.s3.single import put
from tests.methods.staging_site import Peer
from tests.peers.s3.conftest import hurried


@contextmanager
def hurried_copy(area: StoreArea) -> Iterator[BucketCopy]:
    """Give the method with a bucket that is asked again at once."""
    with area.opened() as bucket:
        yield BucketCopy(hurried(bucket), retention_days=area.retention_days)


@dataclass(frozen=True, kw_only=True)
class BucketPeer(Peer):
    """A user's own bucket. Its store remembers what the folder has, and is asked for all that changes."""

    bucket: Bucket

    def key(self, path: str) -> str:
        place = self.place(path)
        assert hasattr(place, "object_key")
        return str(place.object_key)

    def keys_beside(self, path: str) -> list[str]:
        """Return the keys in the folder of a path, as they go on behind it."""
        place = self.place(path)
        assert isinstance(place, BucketPath)
        top = place.parent.inside
        return [one.key.removeprefix(top) for one in self.bucket.list(top)]

    def put(self, path: str, content: bytes = b"precious", *, uid: int | None = None) -> Path:
        assert uid is None
        put(self.bucket, self.key(path), content, replace=True)
        return self.home / path

    def delete(self, path: str) -> None:
        self.bucket.delete(self.key(path))

    def may_write(self, path: str) -> bool:
        found = self.bucket.look(self.key(path))
        assert found is not None
        return found.retained_until is None

    def shown(self) -> list[str]:
        """Return what is there but for manifests, which are hidden."""
        return super().shown() if self.home.exists() else []
