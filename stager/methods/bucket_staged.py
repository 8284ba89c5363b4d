"""What is on its way to a bucket, until it is published or discarded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from stager.checksums import Checksum, ChecksumAlgorithm
from stager.engine import Survey
from stager.methods.bucket_journal import Journal
from stager.methods.bucket_path import BucketPath
from stager.methods.product_files import below
from stager.peers.s3.completion import Sent
from stager.peers.s3.objects import StoredObject
from stager.peers.s3.uploaded import UploadedObject


@dataclass(frozen=True, kw_only=True)
class FileSums:
    """A file of a product as its bytes are: its size, and its checksums by their algorithms."""

    size_bytes: int
    checksums: Mapping[ChecksumAlgorithm, Checksum]


@dataclass(kw_only=True, eq=False)
class BucketStaged:
    """A product of which nothing counts as delivered yet.

    Attributes
    ----------
    survey
        What the source was.
    journal
        The bucket's record of what is on its way, by which a sweep removes what a killed run left.
    previous
        What was there when the transfer began, by paths in the product.
    files
        All files of the product, by their paths in it; that of a lone file is empty.
    sent
        Those whose parts are there and are no object yet.
    uploaded
        Those that are objects. The rest is sent when it is published.
    folders
        Directories of the product, its own among them.
    left_writable
        Why it could not be made read-only.
    has_begun
        Whether its publication may have changed something.
    """

    place: BucketPath
    survey: Survey
    journal: Journal
    previous: Mapping[str, StoredObject]
    files: dict[str, FileSums] = field(default_factory=dict)
    sent: dict[str, Sent] = field(default_factory=dict)
    uploaded: dict[str, UploadedObject] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    left_writable: str | None = None
    has_begun: bool = False

    @property
    def kind(self) -> Literal["file", "directory"]:
        """Whether it is a file or a directory."""
        return "directory" if self.folders else "file"

    @property
    def left_unverified(self) -> str | None:
        """Why of some files only the sizes are known to be right."""
        if all(one.verified_by == "md5" for one in self.uploaded.values()):
            return None
        return "the object store neither checks an MD5 nor tells one"

    def display(self, path: str) -> str:
        """Return what a file of the product is called in messages."""
        return below(self.place.display, path)

    def key(self, path: str) -> str:
        """Return the key of a file of the product."""
        return f"{self.place.inside}{path}" if path else self.place.object_key
