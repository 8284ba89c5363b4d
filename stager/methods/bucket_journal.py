"""The record in a bucket of what is on its way to it, and the removal of what killed runs left.

Objects cannot be renamed, so that nothing has a temporary name there. Beside a destination lies instead, for as
long as something is on its way, an object of ours for the directory and one for each upload in parts. Its name
tells whose lease that is, and which delivery; each object of that has the same in its metadata.
"""

from __future__ import annotations

import json
import re
import secrets
import threading
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from stager.errors import DestinationTampered, PeerFault
from stager.methods.bucket_manifest import manifest_at
from stager.methods.bucket_path import RESERVED, BucketPath
from stager.methods.method import KEY_DIGITS, LivingAmong
from stager.peers.s3.bucket import Bucket
from stager.peers.s3.single import put
from stager.records.items import destination_key

# In the metadata of each object of a delivery.
DELIVERY = "stager-delivery"
_ENTRY = re.compile(rf"{re.escape(RESERVED)}(?P<digits>[0-9a-f]{{16}})-(?P<delivery>[0-9a-f]{{16}})(?P<part>-\d+)?")
# What one entry has at most, and how many of a folder one sweep looks at: whoever has the bucket can write some.
_MOST_BYTES = 16 << 10
MOST_SWEPT = 10_000


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
        self._noted: list[str] = []
        self._noting = threading.Lock()

    @property
    def metadata(self) -> dict[str, str]:
        """What each object of the delivery has in its metadata."""
        return {DELIVERY: self.delivery}

    def note_directory(self) -> None:
        """Note, before its first object is written, that what lies in the place may be of this delivery."""
        self._note(self._key, {"name": self._name})

    def note_parts(self, key: str, upload_id: str) -> None:
        """Note an upload in parts, before the first is sent."""
        with self._noting:
            number = len(self._noted)
        self._note(f"{self._key}-{number}", {"name": self._name, "key": key, "upload_id": upload_id})

    def _note(self, key: str, entry: Mapping[str, str]) -> None:
        with self._noting:
            while key in self._noted:
                key += "0"
            self._noted.append(key)
        put(self._bucket, key, json.dumps(entry).encode(), content_type="application/json", replace=True)

    def forget(self) -> None:
        """Remove the record, that of the directory last. Repeatable."""
        self._bucket.delete_many([key for key in self._noted if key != self._key])
        if self._key in self._noted:
            self._bucket.delete(self._key)
        self._noted.clear()


def sweep(bucket: Bucket, folder: BucketPath, *, living: LivingAmong) -> int:
    """Remove what deliveries of killed runs left in a folder, and return how many there were.

    Raises
    ------
    StagingError
        As by `Bucket`.
    """
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for entry in bucket.list(f"{folder.inside}{RESERVED}", limit=MOST_SWEPT):
        if match := _ENTRY.fullmatch(entry.key.removeprefix(folder.inside)):
            found[match["digits"], match["delivery"]].append(entry.key)
    alive = living({digits for digits, _ in found})
    dead = [(names, keys) for names, keys in found.items() if names[0] not in alive]
    for (digits, delivery), keys in dead:
        entries = [_entry(bucket, key) for key in keys]
        for said in entries:
            _undo(bucket, folder, said, digits=digits, delivery=delivery)
        bucket.delete_many(sorted(keys, reverse=True))
    return len(dead)


def _entry(bucket: Bucket, key: str) -> dict[str, Any]:
    """Return what an entry says; nothing where it is none of ours."""
    with suppress(ValueError, PeerFault, DestinationTampered), bucket.read(key, end=_MOST_BYTES) as pieces:
        said = json.loads(b"".join(pieces))
        if isinstance(said, dict) and all(isinstance(value, str) for value in said.values()):
            return said
    return {}


def _undo(bucket: Bucket, folder: BucketPath, said: Mapping[str, str], *, digits: str, delivery: str) -> None:
    place = folder.within(said.get("name", ""))
    if not place.names[-1] or destination_key(place)[:KEY_DIGITS] != digits:
        return  # it speaks of what it is not for
    if "upload_id" in said:
        key = said.get("key", "")
        if key == place.object_key or key.startswith(place.inside):
            bucket.abort(key, said["upload_id"])
    else:
        remove_of(bucket, place, delivery)


def remove_of(bucket: Bucket, place: BucketPath, delivery: str) -> None:
    """Remove what lies in a place and is of a delivery, unless that is whole: then its manifest is there."""
    manifest = manifest_at(bucket, place)
    if manifest is None or manifest.delivery != delivery:
        bucket.delete_many(one.key for one in [*bucket.list(place.inside)] if is_of(bucket, one.key, delivery))


def is_of(bucket: Bucket, key: str, delivery: str) -> bool:
    """Return whether what is at a key is an object of a delivery."""
    found = bucket.look(key)
    return found is not None and found.metadata.get(DELIVERY) == delivery
