"""An object that is written by one call."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Mapping
from secrets import token_hex
from typing import BinaryIO

from stager.errors import DestinationExists, DestinationTampered
from stager.peers.s3.abilities import abilities_of
from stager.peers.s3.bucket import Bucket
from stager.peers.s3.names import check_key
from stager.peers.s3.objects import ATTEMPT, StoredObject, version_of, written
from stager.peers.s3.retries import PASSES

BYTES = "application/octet-stream"
_NO_METADATA: Mapping[str, str] = {}


def put(
    bucket: Bucket,
    key: str,
    content: bytes,
    *,
    metadata: Mapping[str, str] = _NO_METADATA,
    content_type: str = BYTES,
    replace: bool = False,
) -> StoredObject:
    """Write a small object, and return what is there then.

    Raises
    ------
    StagingError
        As by `put_from`.
    """
    return put_from(
        bucket,
        key,
        lambda: content,
        size_bytes=len(content),
        md5=hashlib.md5(content, usedforsecurity=False).hexdigest(),
        metadata=metadata,
        content_type=content_type,
        replace=replace,
    )


def put_from(
    bucket: Bucket,
    key: str,
    content: Callable[[], bytes | BinaryIO],
    *,
    size_bytes: int,
    md5: str,
    metadata: Mapping[str, str] = _NO_METADATA,
    content_type: str = BYTES,
    replace: bool = False,
) -> StoredObject:
    """Write an object, and return what is there then.

    Parameters
    ----------
    content
        Gives it from its beginning, for each try.

    Raises
    ------
    DestinationExists
        Something is there, and is not to be replaced.
    KeyNotTaken, BucketFull
        The store does not take it.
    DestinationTampered
        What is there then is something else.
    CorruptedInTransfer
        What arrived was not what was sent, time and again.
    StagingError
        As by `Bucket`.
    """
    check_key(key)
    able, attempt = abilities_of(bucket), token_hex(8)
    metadata = {**metadata, ATTEMPT: attempt}
    if not replace and not able.refuses_existing_put and bucket.look(key):
        raise DestinationExists(bucket.address(key))

    def call() -> StoredObject:
        answer = bucket.ask(
            "put_object",
            key,
            Body=content(),
            ContentLength=size_bytes,
            ContentMD5=b64encode(bytes.fromhex(md5)).decode(),
            ContentType=content_type,
            Metadata=written(metadata),
            IfNoneMatch=None if replace or not able.refuses_existing_put else "*",
        )
        etag = str(answer.get("ETag", "")).strip('"')
        version_id = version_of(answer)
        return StoredObject(key=key, size_bytes=size_bytes, etag=etag, version_id=version_id, metadata=metadata)

    try:
        stored = bucket.pace.repeated(call)
    except (DestinationExists, *PASSES):  # the answer of an earlier try may have been lost
        found = bucket.look(key)
        if found is None or found.attempt != attempt or found.size_bytes != size_bytes:
            raise
        return found
    # A store that looks at MD5s, or tells the one that we know, has what was sent; of another the size is asked.
    return stored if able.checks_md5 or stored.etag == md5 else require_ours(bucket, stored)


def require_ours(bucket: Bucket, stored: StoredObject) -> StoredObject:
    """Return what is at a key; raise `DestinationTampered` unless it is what an upload of ours has made."""
    found, address = bucket.look(stored.key), bucket.address(stored.key)
    if found is None:
        raise DestinationTampered(address, "it is gone")
    if found.size_bytes != stored.size_bytes:
        raise DestinationTampered(address, f"it has {found.size_bytes} bytes, and {stored.size_bytes} were sent")
    if found.attempt != stored.attempt or found.etag != stored.etag:
        raise DestinationTampered(address, "somebody else has written it")
    return found
