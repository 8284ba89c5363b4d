"""Removal from a bucket: of what was delivered, unless somebody has changed it, and of what never was."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress

from stager.errors import DestinationDiffers, StagingError
from stager.methods.bucket_comparison import fingerprint_at, objects_at
from stager.methods.bucket_journal import Journal, delivery_at, is_of, remove_of
from stager.methods.bucket_manifest import MANIFEST
from stager.methods.bucket_path import BucketPath
from stager.methods.bucket_staged import BucketStaged
from stager.peers.s3.bucket import Bucket

_TOKEN = re.compile("[0-9a-f]{16}")


def remove_delivered(bucket: Bucket, place: BucketPath, *, fingerprint: str, confirm: Callable[[], None]) -> bool:
    """Remove an object or a directory as it was delivered, the manifest first; return whether something was there.

    What is left of a directory where it breaks off, a sweep removes.

    Parameters
    ----------
    fingerprint
        Of the delivery, by `fingerprint_at`.
    confirm
        Called right before the first is removed. What it raises stops it.

    Raises
    ------
    DestinationDiffers
        It is not what was delivered; nothing was removed.
    StagingError
        As by `Bucket`.
    """
    there = objects_at(bucket, place)
    if not there:
        return False
    _require(place, fingerprint_at(there), fingerprint)
    delivery = delivery_at(bucket, there[MANIFEST].key) if MANIFEST in there else ""
    journal = Journal(bucket, place, delivery if _TOKEN.fullmatch(delivery) else "")
    try:
        if MANIFEST in there:
            journal.note_directory()
        confirm()
        _require(place, fingerprint_at(objects_at(bucket, place)), fingerprint)
    except BaseException:
        with suppress(StagingError):  # a sweep finds the manifest, and removes nothing
            journal.forget()
        raise
    if MANIFEST in there:
        bucket.delete(there[MANIFEST].key)
    bucket.delete_many(one.key for path, one in there.items() if path != MANIFEST)
    journal.forget()
    return True


def _require(place: BucketPath, found: str, fingerprint: str) -> None:
    if found != fingerprint:
        raise DestinationDiffers(place.display, "it is not what was delivered, and stays")


def discard(bucket: Bucket, staged: BucketStaged) -> None:
    """Remove what was sent of a product that was not published; what it has replaced already is not there again.

    A lone object that has replaced something stays. So do the parts of an upload that the store was told to put
    together, and did not answer: one that is aborted then may be lost with its object (ceph#60771). It stays on record.

    Raises
    ------
    StagingError
        As by `Bucket`: the next sweep does it.
    """
    delivery = staged.journal.delivery
    for one in staged.journal.going:
        if not one.is_completing:
            bucket.abort(one.key, one.upload_id)
        elif not is_of(bucket, one.key, delivery):
            continue
        staged.journal.note_end(one.upload_id)
    staged.sent.clear()
    if staged.folders:
        remove_of(bucket, staged.place, delivery)
    elif staged.has_begun and not staged.previous and is_of(bucket, staged.place.object_key, delivery):
        bucket.delete(staged.place.object_key)
    staged.uploaded.clear()
    staged.journal.forget()
