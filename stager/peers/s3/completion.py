"""The last call of an upload in parts: whether the object is there then is looked at, whatever the answer is."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from stager.errors import DestinationExists, DestinationTampered, PeerFault, StagingError
from stager.peers.connections import checked_while_waiting, given_up_after
from stager.peers.s3.abilities import abilities_of
from stager.peers.s3.bucket import Bucket
from stager.peers.s3.etags import etag_of_parts
from stager.peers.s3.objects import StoredObject
from stager.peers.s3.refusals import UploadGone
from stager.peers.s3.retries import PASSES

ABORT_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Ending:
    """An upload whose parts are all there.

    Attributes
    ----------
    etags
        Of the parts, as the store told them.
    md5s
        Of the parts, as we computed them.
    condition
        ``If-None-Match``.
    """

    key: str
    upload_id: str
    attempt: str
    etags: Sequence[str]
    md5s: Sequence[str]
    size_bytes: int
    condition: str | None


def complete(bucket: Bucket, ending: Ending) -> StoredObject:
    """Have an upload become an object, and return that, which is looked at.

    An answer that was lost, or that is an error of the store's, tells nothing: the object's attempt does.

    Raises
    ------
    DestinationExists
        Something else is there; the parts are removed.
    DestinationTampered
        What is there is not what was sent.
    StagingError
        As by `Bucket`: the parts are removed where it was refused; else they stay, for nobody knows.
    """
    for delay in bucket.pace.completion_delays_seconds:
        try:
            return _completed(bucket, ending)
        except PASSES as error:
            bucket.pace.pause(error, delay)
            if found := _found(bucket, ending):
                return found
    return _completed(bucket, ending)


def _completed(bucket: Bucket, ending: Ending) -> StoredObject:
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(ending.etags, start=1)]
    try:
        bucket.ask(
            "complete_multipart_upload",
            ending.key,
            UploadId=ending.upload_id,
            MultipartUpload={"Parts": parts},
            IfNoneMatch=ending.condition,
        )
    except (UploadGone, DestinationExists) as error:  # after an answer that was lost
        if found := _found(bucket, ending):
            return found
        if isinstance(error, DestinationExists):
            abort_quietly(bucket, ending.key, ending.upload_id)
            raise
        raise DestinationTampered(bucket.address(ending.key), "somebody has removed its parts") from error
    except PASSES:
        raise
    except StagingError:
        abort_quietly(bucket, ending.key, ending.upload_id)
        raise
    found = _found(bucket, ending)
    if found is None:
        raise DestinationTampered(bucket.address(ending.key), "somebody else has written or removed it")
    return found


def _found(bucket: Bucket, ending: Ending) -> StoredObject | None:
    """Return the object if it is there and is of this upload.

    Raises
    ------
    DestinationTampered
        It is of this upload, and not what was sent.
    """
    found, address = bucket.look(ending.key), bucket.address(ending.key)
    if found is None or found.attempt != ending.attempt:
        return None
    if found.size_bytes != ending.size_bytes:
        raise DestinationTampered(address, f"it has {found.size_bytes} bytes, and {ending.size_bytes} were sent")
    if abilities_of(bucket).etag_is_of_parts and found.etag != etag_of_parts(ending.md5s):
        raise DestinationTampered(address, "its ETag is not that of what was sent")
    bucket.pace.repeated(lambda: _require_readable(bucket, found))
    return found


def _require_readable(bucket: Bucket, found: StoredObject) -> None:
    """Read the last byte: stores have told of objects that could not be read (ceph#60771)."""
    with bucket.read(found.key, start=found.size_bytes - 1, version_id=found.version_id) as pieces:
        if sum(map(len, pieces)) != 1:
            raise PeerFault(bucket.title, f"it does not give the last byte of {bucket.address(found.key)}")


def abort_quietly(bucket: Bucket, key: str, upload_id: str) -> None:
    """Remove the parts of an upload, if the store answers soon: else the next run does, by what is on record."""
    with suppress(StagingError), checked_while_waiting(lambda: None), given_up_after(ABORT_SECONDS, bucket.title):
        bucket.abort(key, upload_id)
