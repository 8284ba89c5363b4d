"""Places in buckets of object stores."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from stager.errors import KeyNotTaken
from stager.paths import RESERVED_PREFIX, locate
from stager.peers.s3.names import check_key

# What the names of our own objects begin with, beside what is delivered and in it.
RESERVED = RESERVED_PREFIX.decode()


@dataclass(frozen=True, kw_only=True)
class BucketPath:
    """An object, or what has keys below one.

    Attributes
    ----------
    endpoint
        The address of its store.
    area
        What the user calls the bucket and what is theirs in it.
    top
        Names that are not the user's to choose: what their keys begin with.
    names
        Below those.
    """

    endpoint: str
    bucket: str
    area: str
    top: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def object_key(self) -> str:
        """Its key in the bucket; empty for the whole of one."""
        return "/".join((*self.top, *self.names))

    @property
    def inside(self) -> str:
        """What the keys of all that lies in it begin with."""
        return f"{self.object_key}/" if self.object_key else ""

    @property
    def key(self) -> str:
        """``s3://HOST/BUCKET/KEY``: by whichever scheme the store is reached, it is the same."""
        return "/".join((f"s3://{urlsplit(self.endpoint).netloc.lower()}", self.bucket, *self.top, *self.names))

    @property
    def address(self) -> str:
        """How a client of the store's names it."""
        return f"s3://{self.bucket}/{self.object_key}"

    @property
    def display(self) -> str:
        """How it is called in messages."""
        return "/".join((f"s3://{self.area}", *self.names))

    @property
    def parent(self) -> BucketPath:
        """What it lies in; for the uppermost, itself."""
        return replace(self, names=self.names[:-1])

    def within(self, name: str) -> BucketPath:
        """Return the place of a name in it."""
        return replace(self, names=(*self.names, name))


def bucket_path(text: str, *, endpoint: str, bucket: str, area: str, prefix: str = "") -> BucketPath:
    """Return the place that a user's path names in their bucket, by the rules of `locate`.

    Parameters
    ----------
    prefix
        What their keys begin with, and no path leaves.

    Raises
    ------
    KeyNotTaken
        The store takes no such key, or it has one of our own names in it.
    InvalidPath, PathOutsideArea
        As by `locate`.
    """
    parts = locate(Path(area), text).parts
    names = tuple(part.decode("utf-8", "surrogateescape") for part in parts)
    top = tuple(filter(None, prefix.split("/")))
    place = BucketPath(endpoint=endpoint, bucket=bucket, area=area, top=top, names=names)
    check_name(place.object_key)
    return place


def check_name(key: str) -> None:
    """Raise `KeyNotTaken` for a key that the store would not take, or that has one of our own names in it."""
    try:
        key.encode()
    except UnicodeEncodeError as error:
        raise KeyNotTaken(key, "it is not UTF-8") from error
    check_key(key)
    if any(name.startswith(RESERVED) for name in key.split("/")):
        raise KeyNotTaken(key, f"names that begin with {RESERVED} are the staging service's own")
