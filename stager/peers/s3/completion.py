"""The last call of an upload in parts: whether the object is there then is looked at, whatever the answer is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from stager.checksums import Checksum, ChecksumAlgorithm
from stager.errors import DestinationExists, DestinationTampered, PeerFault, StagingError
from stager.peers.connections import checked_while_waiting, given_up_after
from stager.peers.s3.abilities import abilities_of
from stager.peers.s3.bucket import Bucket
from stager.peers.s3.etags import etag_of_parts
from stager.peers.s3.objects import StoredObject
from stager.peers.s3.refusals import UploadGone
from stager.peers.s3.retries import PASSES

ABORT_SECONDS = 30.0


@dataclass(kw_only=True)
class Sent:
    """A file whose parts are all in a bucket, and are no object yet.

    Attributes
    ----------
    etags, md5s
        Of the parts: as the store told them, and as we computed them.
    checksums
        Of what was sent, by their algorithms.
    may_be_ending
        Whether the store was asked to make an object of it, and it is not known whether it still does so: parts that
        are aborted then may be lost to an object that appears (ceph#60771).
    """

    key: str
    upload_id: str
    attempt: str
    size_bytes: int
    part_bytes: int
    etags: Sequence[str]
    md5s: Sequence[str]
    checksums: Mapping[ChecksumAlgorithm, Checksum]
    may_be_ending: bool = False


def complete(bucket: Bucket, sent: Sent, *, replace: bool) -> StoredObject:
    """Have an upload become an object, and return that, which is looked at.

    An answer that was lost, or that is an error of the store's, tells nothing: the object's attempt does.
    Where it is not there in the end, the parts are removed, unless they `may_be_ending`.

    Raises
    ------
    DestinationExists
        Something else is there.
    DestinationTampered
        What is there is not what was sent.
    StagingError
        As by `Bucket`.
    """
    for delay in (*bucket.pace.completion_delays_seconds, None):
        try:
            _ask(bucket, sent, replace=replace)
            break
        except PASSES as error:
            sent.may_be_ending = True
            if delay is not None:
                bucket.pace.pause(error, delay)
            if found := _found(bucket, sent):
                return found
            if delay is None:
                raise
        except (UploadGone, StagingError) as error:
            return _found_despite(bucket, sent, error)
    found = _found(bucket, sent)
    if found is None:
        raise DestinationTampered(bucket.address(sent.key), "somebody else has written or removed it")
    return found


def _ask(bucket: Bucket, sent: Sent, *, replace: bool) -> None:
    """Ask once, and look before where the store itself would not keep what is there."""
    is_kept = abilities_of(bucket).refuses_existing_complete
    if not replace and not is_kept and bucket.look_once(sent.key):
        raise DestinationExists(bucket.address(sent.key))
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(sent.etags, start=1)]
    bucket.ask(
        "complete_multipart_upload",
        sent.key,
        UploadId=sent.upload_id,
        MultipartUpload={"Parts": parts},
        IfNoneMatch="*" if is_kept and not replace else None,
    )


def _found_despite(bucket: Bucket, sent: Sent, error: UploadGone | StagingError) -> StoredObject:
    """Return the object that an earlier try has made whose answer was lost; else raise why this one was refused."""
    if isinstance(error, (UploadGone, DestinationExists)) and (found := _found(bucket, sent)):
        return found
    if isinstance(error, UploadGone):
        raise DestinationTampered(bucket.address(sent.key), "somebody has removed its parts") from error
    if not sent.may_be_ending:
        abort_quietly(bucket, sent.key, sent.upload_id)
    raise error


def _found(bucket: Bucket, sent: Sent) -> StoredObject | None:
    """Return the object if it is there and is of this upload.

    Raises
    ------
    DestinationTampered
        It is of this upload, and not what was sent.
    """
    found, address = bucket.look(sent.key), bucket.address(sent.key)
    if found is None or found.attempt != sent.attempt:
        return None
    if found.size_bytes != sent.size_bytes:
        raise DestinationTampered(address, f"it has {found.size_bytes} bytes, and {sent.size_bytes} were sent")
    if abilities_of(bucket).etag_is_of_parts and found.etag != etag_of_parts(sent.md5s):
        raise DestinationTampered(address, "its ETag is not that of what was sent")
    bucket.pace.repeated(lambda: _require_readable(bucket, found))
    return found


def _require_readable(bucket: Bucket, found: StoredObject) -> None:
    """Read the last byte: stores have told of objects that could not be read (ceph#60771)."""
    with bucket.read(found.key, start=found.size_bytes - 1, version_id=found.version_id, etag=found.etag) as pieces:
        if sum(map(len, pieces)) != 1:
            raise PeerFault(bucket.title, f"it does not give the last byte of {bucket.address(found.key)}")


def abort_quietly(bucket: Bucket, key: str, upload_id: str) -> None:
    """Remove the parts of an upload, if the store answers soon: else the next run does, by what is on record."""
    with suppress(StagingError), checked_while_waiting(lambda: None), given_up_after(ABORT_SECONDS, bucket.title):
        bucket.abort(key, upload_id)
