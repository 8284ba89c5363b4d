"""What an object store has, as it tells."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Self
from urllib.parse import quote, unquote

from stager.checksums import ADLER32, SHA256, Checksum, ChecksumAlgorithm

# Names in an object's metadata (which is fixed when an upload begins) and of its tags.
ATTEMPT: Final = "stager-attempt"
PART_BYTES: Final = "stager-part-bytes"
CHECKSUMS: Final[Mapping[str, ChecksumAlgorithm]] = {"stager-adler32": ADLER32, "stager-sha256": SHA256}
_SIZE = re.compile(r"\d{1,18}", re.ASCII)
_PARTS = re.compile(r"[0-9a-f]{32}-(\d{1,5})", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """An object, from a listing or by itself.

    Attributes
    ----------
    etag
        Without its quotes; empty where there is none.
    metadata
        Names and values that whoever wrote it gave; empty in a listing, as are the attributes that follow.
    """

    key: str
    size_bytes: int
    etag: str = ""
    last_modified: datetime | None = None
    version_id: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    retained_until: datetime | None = None

    @classmethod
    def told(cls, key: str, answer: Mapping[str, Any]) -> Self:
        """Return what an answer about a key alone says."""
        return cls(
            key=key,
            size_bytes=int(answer["ContentLength"]),
            etag=str(answer.get("ETag", "")).strip('"'),
            last_modified=answer.get("LastModified"),
            version_id=version_of(answer),
            metadata={name.lower(): unquote(value) for name, value in answer.get("Metadata", {}).items()},
            retained_until=answer.get("ObjectLockRetainUntilDate"),
        )

    @classmethod
    def listed(cls, entry: Mapping[str, Any]) -> Self:
        """Return what an entry of a listing says."""
        return cls(
            key=entry["Key"],
            size_bytes=int(entry["Size"]),
            etag=str(entry.get("ETag", "")).strip('"'),
            last_modified=entry.get("LastModified"),
        )

    @property
    def checksums(self) -> Mapping[ChecksumAlgorithm, Checksum]:
        """Those that we wrote into its metadata."""
        return told_checksums(self.metadata)

    @property
    def attempt(self) -> str | None:
        """The upload of ours that made it."""
        return self.metadata.get(ATTEMPT)

    @property
    def part_bytes(self) -> int | None:
        """The size of its parts but for the last, where we sent it in parts."""
        said = self.metadata.get(PART_BYTES, "")
        return int(said) if _SIZE.fullmatch(said) else None  # others may have written it

    @property
    def parts(self) -> int | None:
        """How many parts it was sent in, where its ETag tells."""
        found = _PARTS.fullmatch(self.etag)
        return int(found[1]) if found else None


@dataclass(frozen=True, kw_only=True)
class UnfinishedUpload:
    """Parts that became no object yet."""

    key: str
    upload_id: str
    initiated: datetime | None


def version_of(answer: Mapping[str, Any]) -> str | None:
    """Return the version that an answer names; None in a bucket that keeps none."""
    version = answer.get("VersionId")
    return None if version in {None, "", "null"} else str(version)


def written(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return metadata as headers can hold them: values are percent-encoded."""
    return {name: quote(value, safe=" !#$&'()*+,-./:;<=>?@[]^_`{|}~") for name, value in metadata.items()}


def metadata_of(checksums: Mapping[ChecksumAlgorithm, Checksum]) -> dict[str, str]:
    """Return checksums as metadata, or as tags."""
    return {name: checksums[algorithm].value for name, algorithm in CHECKSUMS.items() if algorithm in checksums}


def told_checksums(said: Mapping[str, str]) -> dict[ChecksumAlgorithm, Checksum]:
    """Return the checksums that metadata or tags tell; what is none is left out."""
    found = {}
    for name, algorithm in CHECKSUMS.items():
        try:
            found[algorithm] = Checksum.parse(f"{algorithm}:{said[name]}")
        except (KeyError, ValueError):
            continue
    return found
