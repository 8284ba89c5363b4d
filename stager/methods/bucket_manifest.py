"""A directory's manifest: the object that is written last, and by whose being there the directory is whole."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stager.errors import DestinationTampered
from stager.methods.bucket_path import RESERVED, BucketPath
from stager.peers.s3.bucket import Bucket
from stager.peers.s3.single import put

MANIFEST = f"{RESERVED}manifest.json"
FORM = "skao-staging-manifest"
# How much of one is read at most, and how much more for each object: whoever has the bucket can write some.
_MOST_BYTES = 16 << 20
_MOST_BYTES_OF_ONE = 1 << 10


@dataclass(frozen=True, kw_only=True)
class ManifestFile:
    """A file of a delivered directory."""

    size_bytes: int
    adler32: str
    sha256: str
    etag: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a directory was when it was delivered.

    Attributes
    ----------
    delivery
        The token that its objects have in their metadata.
    files
        By their paths in it.
    directories
        Those in it: a bucket has none.
    """

    delivery: str
    files: Mapping[str, ManifestFile]
    directories: Sequence[str]

    def written(self) -> bytes:
        """Return it as JSON."""
        files = [{"path": path, **vars(file)} for path, file in self.files.items()]
        said = {"form": FORM, "version": 1, "delivery": self.delivery, "files": files, "directories": self.directories}
        return json.dumps(said, indent=1).encode()

    @classmethod
    def read(cls, content: bytes) -> Manifest | None:
        """Return what JSON says; None where it is no manifest."""
        try:
            said = json.loads(content)
            files = {one.pop("path"): ManifestFile(**one) for one in said["files"]}
            manifest = cls(delivery=said["delivery"], files=files, directories=said["directories"])
            are_names = all(isinstance(name, str) for name in (manifest.delivery, *files, *manifest.directories))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        return manifest if are_names and (said.get("form"), said.get("version")) == (FORM, 1) else None


def put_manifest(bucket: Bucket, place: BucketPath, manifest: Manifest, metadata: Mapping[str, str]) -> None:
    """Write a manifest: from now on, the directory counts as delivered.

    Raises
    ------
    DestinationExists
        One is there.
    StagingError
        As by `put`.
    """
    content = manifest.written()
    put(bucket, f"{place.inside}{MANIFEST}", content, metadata=metadata, content_type="application/json")


def manifest_at(bucket: Bucket, place: BucketPath, *, object_count: int = 0) -> Manifest | None:
    """Return the manifest of a directory, or None where there is none, or one too large for so many objects."""
    key = f"{place.inside}{MANIFEST}"
    found = bucket.look(key)
    if found is None or not 0 < found.size_bytes <= _MOST_BYTES + _MOST_BYTES_OF_ONE * object_count:
        return None
    try:
        with bucket.read(key, end=found.size_bytes, etag=found.etag) as pieces:
            return Manifest.read(b"".join(pieces))
    except DestinationTampered:
        return None
