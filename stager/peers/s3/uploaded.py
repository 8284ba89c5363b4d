"""What an upload has brought to a bucket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from stager.checksums import Checksum, ChecksumAlgorithm


@dataclass(frozen=True, kw_only=True)
class UploadedObject:
    """A file that is in a bucket, whole.

    Attributes
    ----------
    attempt
        Is in the object's metadata too, by which it is known to be of this upload.
    part_bytes, part_count
        None and 1 where it was sent by one call.
    checksums
        Of what was sent, by their algorithms.
    verified_by
        md5 where the store has checked or told the MD5 of all that was sent, or what it has was read for that, and
        that is what we computed; else only the size is the same.
    has_checksums
        Whether the store has our checksums, in the object's metadata or as its tags.
    """

    key: str
    size_bytes: int
    etag: str
    version_id: str | None
    attempt: str
    part_bytes: int | None = None
    part_count: int = 1
    checksums: Mapping[ChecksumAlgorithm, Checksum]
    verified_by: Literal["md5", "size"]
    has_checksums: bool
