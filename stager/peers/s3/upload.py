"""One file gets into a bucket, whole or not at all, and is checked there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import BinaryIO, cast

from stager.checksums import MD5, Checksum, ChecksumAlgorithm, Sums
from stager.errors import CorruptedInTransfer, DestinationExists, DestinationTampered
from stager.peers.open_source import OpenSource
from stager.peers.s3.bucket import Bucket
from stager.peers.s3.multipart import put_together, send
from stager.peers.s3.names import check_key
from stager.peers.s3.objects import ATTEMPT, StoredObject, metadata_of
from stager.peers.s3.single import put_from, require_ours
from stager.peers.s3.source_body import SourceBody
from stager.peers.s3.uploaded import UploadedObject

# What is held in memory while it is sent; what is larger is read a second time.
HELD_BYTES = 1 << 20


def upload(
    bucket: Bucket,
    descriptor: int,
    key: str,
    *,
    source_name: str,
    on_bytes: Callable[[int], None],
    on_multipart: Callable[[str, str], None],
    algorithms: Sequence[ChecksumAlgorithm] = (),
    replace: bool = False,
    metadata: Mapping[str, str] = MappingProxyType({}),
) -> UploadedObject:
    """Bring an open file to a key, where it appears whole or not at all.

    It is read in order, for its checksums; what is larger than `HELD_BYTES` is read again as it is sent, so that
    memory does not grow with it, and the MD5 of the first reading goes with it. Threads may call it side by side.

    Parameters
    ----------
    descriptor, source_name, algorithms
        As of an `OpenSource`.
    on_bytes
        Called in this thread with the length of what has arrived, and with 0 while nothing has; what it raises ends
        the upload.
    on_multipart
        Called in this thread with key and id of an upload in parts, before the first of them is sent: they
        stay until the upload is completed or aborted. What it raises ends the upload.
    replace
        Whether to write over what is there.
    metadata
        What the object is to have in its metadata, beside what is ours.

    Raises
    ------
    DestinationExists
        Something is there, and is not to be replaced.
    KeyNotTaken, BucketFull
        The store does not take it.
    SourceChanged, StorageFault
        The file is not what it was at the beginning, or cannot be read.
    DestinationTampered, CorruptedInTransfer
        What is there is not what was sent.
    StagingError
        As by `Bucket`. What was sent in parts is aborted then, if the store answers, unless it was to be put together
        already and no answer tells whether it is: then the object's attempt does.
    """
    check_key(key)
    source = OpenSource(descriptor, source_name, (MD5, *algorithms))
    if source.size_bytes <= bucket.single_bytes:
        return _send_at_once(bucket, source, key, on_bytes=on_bytes, replace=replace, metadata=metadata)
    if not replace and bucket.look(key):
        raise DestinationExists(bucket.address(key))
    sent = send(
        bucket,
        descriptor,
        key,
        source_name=source_name,
        on_bytes=on_bytes,
        on_multipart=on_multipart,
        algorithms=algorithms,
        metadata=metadata,
    )
    return put_together(bucket, sent, replace=replace)


def _send_at_once(
    bucket: Bucket,
    source: OpenSource,
    key: str,
    *,
    on_bytes: Callable[[int], None],
    replace: bool,
    metadata: Mapping[str, str],
) -> UploadedObject:
    size = source.size_bytes
    if size <= HELD_BYTES:
        held = b"".join(source.blocks(0, size))
    else:
        for _ in source.blocks(0, size):
            on_bytes(0)
    source.require_unchanged()
    sums = source.sums.checksums

    def content() -> bytes | BinaryIO:
        if size <= HELD_BYTES:
            return held
        source.require_unchanged()
        return cast("BinaryIO", SourceBody(source, 0, size))

    md5, metadata = sums[MD5].value, {**metadata, **metadata_of(sums)}
    try:
        stored = put_from(bucket, key, content, size_bytes=size, md5=md5, metadata=metadata, replace=replace)
    except CorruptedInTransfer:
        source.require_unchanged()
        raise
    on_bytes(size)
    return UploadedObject(
        key=key,
        size_bytes=size,
        etag=stored.etag,
        version_id=stored.version_id,
        attempt=stored.metadata[ATTEMPT],
        checksums=sums,
        verified_by="md5",
        has_checksums=True,
    )


def require_same(bucket: Bucket, uploaded: UploadedObject) -> StoredObject:
    """Return what is at a key by now.

    Raises
    ------
    DestinationTampered
        It is not what the upload has brought there.
    """
    sent = StoredObject(
        key=uploaded.key, size_bytes=uploaded.size_bytes, etag=uploaded.etag, metadata={ATTEMPT: uploaded.attempt}
    )
    return require_ours(bucket, sent)


def read_back(bucket: Bucket, uploaded: UploadedObject, *, on_bytes: Callable[[int], None]) -> None:
    """Read what an upload has brought there, all of it.

    Parameters
    ----------
    on_bytes
        Called with the length of each piece that was read; what it raises ends the reading.

    Raises
    ------
    DestinationTampered
        It is not what was sent.
    StagingError
        As by `Bucket`.
    """
    found = sums_at(bucket, uploaded, uploaded.checksums, on_bytes=on_bytes)
    if found != uploaded.checksums:
        raise DestinationTampered(bucket.address(uploaded.key), "it has another content than what was sent")


def sums_at(
    bucket: Bucket,
    one: UploadedObject | StoredObject,
    algorithms: Iterable[ChecksumAlgorithm],
    *,
    on_bytes: Callable[[int], None],
) -> Mapping[ChecksumAlgorithm, Checksum]:
    """Return checksums of an object by reading all of it; raises as `read_back`."""

    def read() -> Mapping[ChecksumAlgorithm, Checksum]:
        sums = Sums(*algorithms)
        with bucket.read(one.key, version_id=one.version_id) as pieces:
            for piece in pieces:
                sums.update(piece)
                on_bytes(len(piece))
        return sums.checksums

    return bucket.pace.repeated(read)
