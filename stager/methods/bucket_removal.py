"""Removal from a bucket: of what was delivered, unless somebody has changed it, and of what never was."""

from __future__ import annotations

from collections.abc import Callable

from stager.errors import DestinationDiffers
from stager.methods.bucket_comparison import fingerprint_at, objects_at
from stager.methods.bucket_journal import Journal, is_of, remove_of
from stager.methods.bucket_manifest import MANIFEST, manifest_at
from stager.methods.bucket_path import BucketPath
from stager.methods.bucket_staged import BucketStaged
from stager.peers.s3.bucket import Bucket


def remove_delivered(bucket: Bucket, place: BucketPath, *, fingerprint: str, confirm: Callable[[], None]) -> bool:
    """Remove an object or a directory as it was delivered, the manifest first; return whether something was there.

    What a process that is killed leaves of a directory, a sweep removes.

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
    manifest = manifest_at(bucket, place) if MANIFEST in there else None
    _require(place, fingerprint_at(there), fingerprint)
    journal = Journal(bucket, place, manifest.delivery if manifest else "")
    try:
        if manifest is not None:
            journal.note_directory()
        confirm()
        _require(place, fingerprint_at(objects_at(bucket, place)), fingerprint)
        if manifest is not None:
            bucket.delete(f"{place.inside}{MANIFEST}")
        bucket.delete_many(one.key for path, one in there.items() if path != MANIFEST)
    finally:
        journal.forget()
    return True


def _require(place: BucketPath, found: str, fingerprint: str) -> None:
    if found != fingerprint:
        raise DestinationDiffers(place.display, "it is not what was delivered, and stays")


def discard(bucket: Bucket, staged: BucketStaged) -> None:
    """Remove what was sent of a product that was not published; what it has replaced already is not there again.

    Of a file of which the store may still be making an object, parts and record stay for the next sweep.

    Raises
    ------
    StagingError
        As by `Bucket`: the next sweep does it.
    """
    for path, sent in [*staged.sent.items()]:
        if not sent.may_be_ending:
            bucket.abort(sent.key, sent.upload_id)
            del staged.sent[path]
    if staged.folders:
        remove_of(bucket, staged.place, staged.journal.delivery)
    elif staged.has_begun and is_of(bucket, staged.place.object_key, staged.journal.delivery):
        bucket.delete(staged.place.object_key)
    staged.uploaded.clear()
    if not staged.sent:
        staged.journal.forget()
