"""The record in a bucket of what is on its way to it, and the removal of what killed runs left.

Objects cannot be renamed, so that nothing has a temporary name there. Beside a destination lies instead, for as
long as something is on its way, an object of ours for the directory and one for each upload in parts. Its name
tells whose lease that is, and which delivery; each object of that has the same in its metadata.
"""

from __future__ import annotations

import json
import re
import secrets
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from operator import attrgetter

from stager.errors import Cancelled, DestinationTampered, StagingError
from stager.methods.bucket_manifest import MANIFEST
from stager.methods.bucket_path import RESERVED, BucketPath
from stager.methods.method import KEY_DIGITS, LivingAmong
from stager.peers.s3.bucket import Bucket
from stager.peers.s3.names import check_key
from stager.peers.s3.objects import StoredObject
from stager.peers.s3.single import put
from stager.records.items import destination_key

# In the metadata of each object of a delivery.
DELIVERY = "stager-delivery"
_ENTRY = re.compile(rf"{re.escape(RESERVED)}(?P<digits>[0-9a-f]{{16}})-(?P<delivery>[0-9a-f]{{16}})(?P<part>-\d+)?")
# What one entry has at most, and how many of a folder one sweep looks at: whoever has the bucket can write some.
_MOST_BYTES = 16 << 10
MOST_SWEPT = 10_000
# In the entry of an upload that the store may be putting together, and for how long it may.
COMPLETING = "completing"
LONGEST_COMPLETION = timedelta(hours=1)


@dataclass(kw_only=True)
class NotedUpload:
    """An upload in parts that is on record.

    Attributes
    ----------
    entry
        The key of that record.
    is_completing
        Whether the store may be putting the parts together.
    """

    entry: str
    key: str
    upload_id: str
    is_completing: bool = False


class Journal:
    """What is on record of one delivery.

    Parameters
    ----------
    delivery
        Its token, where it is an earlier one's; else it is a new one.
    """

    def __init__(self, bucket: Bucket, place: BucketPath, delivery: str = "") -> None:
        self.delivery = delivery or secrets.token_hex(8)
        self._bucket = bucket
        self._name = place.names[-1]
        self._key = f"{place.parent.inside}{RESERVED}{destination_key(place)[:KEY_DIGITS]}-{self.delivery}"
        self._numbers = count()
        self._has_directory = False
        self._uploads: dict[str, NotedUpload] = {}
        self._ended: list[str] = []

    @property
    def metadata(self) -> dict[str, str]:
        """What each object of the delivery has in its metadata."""
        return {DELIVERY: self.delivery}

    @property
    def going(self) -> list[NotedUpload]:
        """Uploads of which nobody has noted that they have ended."""
        return [*self._uploads.values()]

    @property
    def longest_key(self) -> str:
        """A key as long as any of the record's can get."""
        return f"{self._key}-{10**9}"

    def note_directory(self) -> None:
        """Note, before its first object is written, that what lies in the place may be of this delivery."""
        self._has_directory = True
        self._write(self._key, {"name": self._name})

    def note_parts(self, key: str, upload_id: str) -> None:
        """Note an upload in parts, before the first is sent."""
        one = NotedUpload(entry=f"{self._key}-{next(self._numbers)}", key=key, upload_id=upload_id)
        self._uploads[upload_id] = one
        self._write(one.entry, {"name": self._name, "key": key, "upload_id": upload_id})

    def note_completion(self, upload_id: str) -> None:
        """Note, before the store is told to, that it may be putting the parts of an upload together."""
        one = self._uploads[upload_id]
        one.is_completing = True
        said = {"name": self._name, "key": one.key, "upload_id": upload_id, COMPLETING: "yes"}
        self._write(one.entry, said)

    def note_refusal(self, upload_id: str) -> None:
        """Note that the store has refused to put an upload together."""
        self._uploads[upload_id].is_completing = False

    def note_end(self, upload_id: str) -> None:
        """Note that an upload has become an object, or is aborted."""
        if one := self._uploads.pop(upload_id, None):
            self._ended.append(one.entry)

    def _write(self, key: str, entry: Mapping[str, str]) -> None:
        put(self._bucket, key, json.dumps(entry).encode(), content_type="application/json", replace=True)

    def forget(self) -> None:
        """Remove the record of uploads that have ended, and the directory's if that is all. Repeatable."""
        self._bucket.delete_many(self._ended)
        self._ended.clear()
        if self._has_directory and not self._uploads:
            self._bucket.delete(self._key)
            self._has_directory = False


def sweep(bucket: Bucket, folder: BucketPath, *, living: LivingAmong) -> int:
    """Remove what deliveries of killed runs left in a folder, and return of how many all is gone.

    What cannot be undone stays on record, and is in nobody else's way.

    Raises
    ------
    StagingError
        As by `Bucket`, of the list of what is on record.
    """
    found: dict[tuple[str, str], list[StoredObject]] = defaultdict(list)
    for entry in bucket.list(f"{folder.inside}{RESERVED}", limit=MOST_SWEPT):
        if match := _ENTRY.fullmatch(entry.key.removeprefix(folder.inside)):
            found[match["digits"], match["delivery"]].append(entry)
    alive = living({digits for digits, _ in found})
    dead = [(names, entries) for names, entries in found.items() if names[0] not in alive]
    return sum(
        _swept(bucket, folder, entries, digits=digits, delivery=delivery) for (digits, delivery), entries in dead
    )


def _swept(bucket: Bucket, folder: BucketPath, entries: list[StoredObject], *, digits: str, delivery: str) -> bool:
    """Undo what one delivery has left, the uploads first, and return whether that is all done and forgotten."""
    is_all = True
    for entry in sorted(entries, key=attrgetter("key"), reverse=True):
        try:
            said = _entry(bucket, entry)
            is_undone = _undone(bucket, folder, entry, said, digits=digits, delivery=delivery)
            if is_undone and (is_all or "upload_id" in said):
                bucket.delete(entry.key)
        except Cancelled:
            raise
        except StagingError:
            is_undone = False
        is_all = is_all and is_undone
    return is_all


def _entry(bucket: Bucket, entry: StoredObject) -> dict[str, str]:
    """Return what an entry says; nothing where it is none of ours."""
    if not 0 < entry.size_bytes <= _MOST_BYTES:
        return {}
    with suppress(ValueError, RecursionError, DestinationTampered), bucket.read(entry.key, end=_MOST_BYTES) as pieces:
        said = json.loads(b"".join(pieces))
        if isinstance(said, dict) and all(isinstance(value, str) for value in said.values()):
            return said
    return {}


def _undone(
    bucket: Bucket, folder: BucketPath, entry: StoredObject, said: Mapping[str, str], *, digits: str, delivery: str
) -> bool:
    """Undo what an entry speaks of, and return whether nothing of it is left; a forged one has nothing."""
    name, key = said.get("name", ""), said.get("key", "")
    if name in {"", ".", ".."} or "/" in name:
        return True
    place = folder.within(name)
    if destination_key(place)[:KEY_DIGITS] != digits:
        return False  # of what it is not for, or of the store by another address
    if "upload_id" not in said:
        remove_of(bucket, place, delivery)
        return True
    if key != place.object_key and not key.startswith(place.inside):
        return True
    check_key(key)
    if not is_of(bucket, key, delivery):
        if COMPLETING in said and entry.last_modified and datetime.now(UTC) - entry.last_modified < LONGEST_COMPLETION:
            return False
        bucket.abort(key, said["upload_id"])
    return True


def remove_of(bucket: Bucket, place: BucketPath, delivery: str) -> None:
    """Remove what lies in a place and is of a delivery, unless that is whole: then its manifest is there."""
    if delivery_at(bucket, f"{place.inside}{MANIFEST}") != delivery:
        bucket.delete_many(one.key for one in [*bucket.list(place.inside)] if is_of(bucket, one.key, delivery))


def delivery_at(bucket: Bucket, key: str) -> str:
    """Return the token of the delivery that the object at a key is of; it is empty where it is of none."""
    found = bucket.look(key)
    return "" if found is None else found.metadata.get(DELIVERY, "")


def is_of(bucket: Bucket, key: str, delivery: str) -> bool:
    """Return whether what is at a key is an object of a delivery."""
    return delivery_at(bucket, key) == delivery
