"""A large file gets into a bucket in parts, several of them at once."""

from __future__ import annotations

import hashlib
import threading
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, field
from secrets import token_hex
from types import MappingProxyType

from stager.checksums import ChecksumAlgorithm
from stager.errors import Cancelled, CorruptedInTransfer, DestinationTampered, StagingError
from stager.peers.connections import check_on, checked_while_waiting
from stager.peers.open_source import OpenSource
from stager.peers.s3.abilities import abilities_of
from stager.peers.s3.bucket import Bucket
from stager.peers.s3.completion import Sent, abort_quietly, complete
from stager.peers.s3.etags import etag_of_parts
from stager.peers.s3.names import check_key
from stager.peers.s3.objects import ATTEMPT, PART_BYTES, StoredObject, metadata_of, written
from stager.peers.s3.refusals import UploadGone
from stager.peers.s3.single import BYTES
from stager.peers.s3.source_body import SourceBody
from stager.peers.s3.uploaded import UploadedObject

# What stores have been seen to put together: 10,000 is Amazon's wall, and others have theirs before.
MOST_PARTS = 1_000
_MIB = 1 << 20
# How long parts that are under way may take to end once nobody wants them.
LEAVE_SECONDS = 15.0
_POLL_SECONDS = 0.2


def part_bytes_of(size_bytes: int, least: int) -> int:
    """Return how large the parts of a file are."""
    return max(least, -(-size_bytes // (MOST_PARTS * _MIB)) * _MIB)


def send(
    bucket: Bucket,
    descriptor: int,
    key: str,
    *,
    source_name: str,
    on_bytes: Callable[[int], None],
    on_multipart: Callable[[str, str], None],
    algorithms: Sequence[ChecksumAlgorithm] = (),
    metadata: Mapping[str, str] = MappingProxyType({}),
) -> Sent:
    """Bring the parts of an open file, which is not empty, to a bucket, where nothing is seen of them.

    Parameters
    ----------
    metadata
        What the object is to have in its metadata, beside what is ours.

    Raises
    ------
    StagingError
        As by `upload`, with the same parameters. What was sent is aborted then, if the store answers.
    """
    check_key(key)
    source = OpenSource(descriptor, source_name, algorithms)
    attempt, part_bytes = token_hex(8), part_bytes_of(source.size_bytes, bucket.part_bytes)
    given = written({**metadata, ATTEMPT: attempt, PART_BYTES: str(part_bytes)})
    upload_id = bucket.begun(key, Metadata=given, ContentType=BYTES)
    parts = _Parts(bucket=bucket, source=source, key=key, upload_id=upload_id, part_bytes=part_bytes)
    try:
        on_multipart(key, parts.upload_id)
        parts.send(on_bytes)
        source.require_unchanged()
    except BaseException:
        parts.leave()
        raise
    return Sent(
        key=key,
        upload_id=parts.upload_id,
        attempt=attempt,
        size_bytes=source.size_bytes,
        part_bytes=part_bytes,
        etags=[parts.etags[number] for number in sorted(parts.etags)],
        md5s=parts.md5s,
        checksums=source.sums.checksums,
    )


def put_together(bucket: Bucket, sent: Sent, *, replace: bool) -> UploadedObject:
    """Have parts that were sent become an object.

    Raises
    ------
    DestinationExists
        Something is there, and is not to be replaced; the parts are removed.
    StagingError
        As by `complete`.
    """
    stored = complete(bucket, sent, replace=replace)
    is_known = abilities_of(bucket).checks_md5 or stored.etag == etag_of_parts(sent.md5s)
    return UploadedObject(
        key=sent.key,
        size_bytes=sent.size_bytes,
        etag=stored.etag,
        version_id=stored.version_id,
        attempt=sent.attempt,
        part_bytes=sent.part_bytes,
        part_count=len(sent.md5s),
        checksums=sent.checksums,
        verified_by="md5" if is_known else "size",
        has_checksums=is_known and _is_tagged(bucket, stored, metadata_of(sent.checksums)),
    )


def _is_tagged(bucket: Bucket, stored: StoredObject, checksums: Mapping[str, str]) -> bool:
    """Tag an object with its checksums, where the store takes that: its metadata was fixed before they were known."""
    if not abilities_of(bucket).takes_tags:
        return False
    try:
        bucket.set_tags(stored.key, checksums, version_id=stored.version_id)
    except Cancelled:
        raise
    except StagingError:  # the object is whole without
        return False
    return True


@dataclass(kw_only=True)
class _Parts:
    """The parts of a file on their way."""

    bucket: Bucket
    source: OpenSource
    key: str
    upload_id: str
    part_bytes: int
    md5s: list[str] = field(default_factory=list)
    etags: dict[int, str] = field(default_factory=dict)
    going: set[Future[int]] = field(default_factory=set)
    is_left: threading.Event = field(default_factory=threading.Event)

    def send(self, on_bytes: Callable[[int], None]) -> None:
        """Send all; the first error ends it, while others are under way."""
        size = self.source.size_bytes
        for number, start in enumerate(range(0, size, self.part_bytes), start=1):
            self._wait(on_bytes, all_but=self.bucket.connection.parts_at_once - 1)
            end = min(start + self.part_bytes, size)
            md5 = hashlib.md5(usedforsecurity=False)
            for block in self.source.blocks(start, end):
                md5.update(block)
                on_bytes(0)
            self.md5s.append(md5.hexdigest())
            self.going.add(self.bucket.parts.submit(self._sent, number, start, end))
        self._wait(on_bytes, all_but=0)

    def _wait(self, on_bytes: Callable[[int], None], *, all_but: int) -> None:
        while len(self.going) > all_but:
            done, self.going = wait_for(self.going, _POLL_SECONDS, FIRST_COMPLETED)
            for one in done:
                on_bytes(one.result())
            if not done:
                on_bytes(0)
            check_on()

    def _sent(self, number: int, start: int, end: int) -> int:
        """Send a part, and return its length."""
        with checked_while_waiting(self._check):
            tells_md5 = abilities_of(self.bucket).etag_is_md5
            self.etags[number] = self.bucket.pace.repeated(lambda: self._etag(number, start, end, tells_md5=tells_md5))
        return end - start

    def _check(self) -> None:
        if self.is_left.is_set():
            raise Cancelled

    def _etag(self, number: int, start: int, end: int, *, tells_md5: bool) -> str:
        md5, address = self.md5s[number - 1], self.bucket.address(self.key)
        try:
            answer = self.bucket.ask(
                "upload_part",
                self.key,
                UploadId=self.upload_id,
                PartNumber=number,
                Body=SourceBody(self.source, start, end),
                ContentLength=end - start,
                ContentMD5=b64encode(bytes.fromhex(md5)).decode(),
            )
        except UploadGone as error:
            raise DestinationTampered(address, "somebody has removed its parts") from error
        except CorruptedInTransfer:
            self.source.require_unchanged()
            raise
        etag = str(answer["ETag"])
        if tells_md5 and etag.strip('"') != md5:
            raise CorruptedInTransfer(address, f"part {number} arrived as something else")
        return etag

    def leave(self) -> None:
        """End what is under way, and remove what was sent, as far as the store answers: its id is on record."""
        self.is_left.set()
        begun = {one for one in self.going if not one.cancel()}
        _, going = wait_for(begun, LEAVE_SECONDS)
        if not going:  # else what is on its way might stay behind
            abort_quietly(self.bucket, self.key, self.upload_id)
