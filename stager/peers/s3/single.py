"""An object that is written by one call."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Mapping
from secrets import token_hex
from types import MappingProxyType
from typing import BinaryIO

from stager.errors import CorruptedInTransfer, DestinationExists, DestinationTampered, PeerFault
from stager.peers.s3.abilities import abilities_of
from stager.peers.s3.bucket import Bucket
from stager.peers.s3.names import check_key
from stager.peers.s3.objects import ATTEMPT, StoredObject, version_of, written
from stager.peers.s3.retries import PASSES

BYTES = "application/octet-stream"


def put(
    bucket: Bucket,
    key: str,
    content: bytes,
    *,
    metadata: Mapping[str, str] = MappingProxyType({}),
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
    metadata: Mapping[str, str] = MappingProxyType({}),
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
        What arrived was not what was sent, time and again; it is removed.
    StagingError
        As by `Bucket`.
    """
    check_key(key)
    able, attempt = abilities_of(bucket), token_hex(8)
    metadata = {**metadata, ATTEMPT: attempt}
    must_look = not replace and not able.refuses_existing_put

    def call() -> StoredObject:
        if must_look and bucket.look_once(key):  # also before another try, for somebody may have come meanwhile
            raise DestinationExists(bucket.address(key))
        answer = bucket.ask(
            "put_object",
            key,
            Body=content(),
            ContentLength=size_bytes,
            ContentMD5=b64encode(bytes.fromhex(md5)).decode(),
            ContentType=content_type,
            Metadata=written(metadata),
            IfNoneMatch=None if replace or must_look else "*",
        )
        etag = str(answer.get("ETag", "")).strip('"')
        if not etag:
            raise PeerFault(bucket.title, f"it says nothing of what it has at {bucket.address(key)}")
        version_id = version_of(answer)
        return StoredObject(key=key, size_bytes=size_bytes, etag=etag, version_id=version_id, metadata=metadata)

    try:
        stored = bucket.pace.repeated(call)
    except (DestinationExists, *PASSES):  # the answer of an earlier try may have been lost
        found = bucket.look(key)
        if found is None or found.attempt != attempt or found.size_bytes != size_bytes:
            raise
        stored = found
    if must_look:
        stored = require_ours(bucket, stored)
    _require_content(bucket, stored, md5)
    return stored


def _require_content(bucket: Bucket, stored: StoredObject, md5: str) -> None:
    """Remove an object of ours, and raise `CorruptedInTransfer`, unless it has the content that was to be sent.

    Its MD5 is the store's word, or it is read where the store has none: it has our checksums in its metadata.
    """
    able = abilities_of(bucket)
    if able.etag_is_md5:
        is_right = stored.etag == md5
    else:
        is_right = able.checks_md5 or bucket.pace.repeated(lambda: _md5_of(bucket, stored)) == md5
    if is_right:
        return
    found = bucket.look(stored.key, version_id=stored.version_id)
    if found and found.attempt == stored.attempt:
        bucket.delete(stored.key, version_id=stored.version_id)
    raise CorruptedInTransfer(bucket.address(stored.key), "it arrived as something else")


def _md5_of(bucket: Bucket, stored: StoredObject) -> str:
    md5 = hashlib.md5(usedforsecurity=False)
    with bucket.read(stored.key, version_id=stored.version_id) as pieces:
        for piece in pieces:
            md5.update(piece)
    return md5.hexdigest()


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
