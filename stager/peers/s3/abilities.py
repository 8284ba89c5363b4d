"""What an object store is able to do, which is tried: stores differ, and say nothing of it."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any

from stager.errors import (
    CorruptedInTransfer,
    DestinationExists,
    NotByStore,
    PeerError,
    PeerRefused,
    StagingError,
)
from stager.peers.connections import checked_while_waiting
from stager.peers.s3.bucket import Bucket
from stager.peers.s3.etags import etag_of_parts
from stager.peers.s3.refusals import UploadGone

PROBE = ".stager-probe-"
# After how long an object by which a store was tried is nobody's any more, and how many are removed at a time.
PROBE_LASTS = timedelta(hours=1)
_MOST_LEFT = 100
_FIRST, _PART = b"first", b"part"
# How a probe's name goes on; with its few bytes, nobody else's is like it.
_OF_PROBE = re.compile(r"[0-9a-f]{16}(-wrong)?")


@dataclass(frozen=True, kw_only=True)
class Abilities:
    """What was found out about a store and a bucket of it.

    Attributes
    ----------
    refuses_existing_put, refuses_existing_complete
        Whether ``If-None-Match: *`` keeps an object that is there: by one call, and by the last of many.
    checks_md5
        Whether it refuses what its Content-MD5 does not fit.
    etag_is_md5, etag_is_of_parts
        Whether the ETag of what was sent by one call is its MD5; and of what was sent in parts, the MD5 of their MD5s.
    takes_tags
        Whether objects can have tags.
    keeps_versions, locks_objects
        Whether the bucket does.
    retains_by_default
        Whether what is written cannot be deleted for some time; then nothing was tried.
    may_delete
        Whether we may.
    """

    refuses_existing_put: bool = False
    refuses_existing_complete: bool = False
    checks_md5: bool = False
    etag_is_md5: bool = False
    etag_is_of_parts: bool = False
    takes_tags: bool = False
    keeps_versions: bool = False
    locks_objects: bool = False
    retains_by_default: bool = False
    may_delete: bool = True

    @property
    def words(self) -> str:
        """What it is able to do, as a sentence."""
        said = {
            "refuses to replace what is there": self.refuses_existing_put,
            "refuses it at the end of an upload in parts": self.refuses_existing_complete,
            "checks Content-MD5": self.checks_md5,
            "tells MD5s as ETags": self.etag_is_md5,
            "tells those of parts, too": self.etag_is_of_parts,
            "takes tags": self.takes_tags,
            "keeps versions": self.keeps_versions,
            "locks objects": self.locks_objects,
        }
        does, lacks = ([what for what, is_so in said.items() if is_so is wanted] for wanted in (True, False))
        if self.retains_by_default:
            return "It retains what is written, so that nothing was tried there."
        return f"It {', '.join(does) or 'does nothing of what is optional'}" + (
            f"; not: {', '.join(lacks)}." if lacks else "."
        )


def abilities_of(bucket: Bucket) -> Abilities:
    """Return what a bucket's store is able to do, tried once by small objects that are removed again.

    It is known of this bucket alone, for other keys may be allowed other things; what could not be tried is not known.

    Raises
    ------
    StagingError
        As by `Bucket`: nothing can be written there.
    """
    with bucket.abilities_lock:
        if bucket.abilities is None:
            bucket.abilities = _tried(bucket)
        return bucket.abilities


def _tried(bucket: Bucket) -> Abilities:
    versioning = _answer_or_nothing(bucket, "get_bucket_versioning")
    lock = _answer_or_nothing(bucket, "get_object_lock_configuration").get("ObjectLockConfiguration", {})
    of_bucket = {
        "keeps_versions": versioning.get("Status") == "Enabled",
        "locks_objects": lock.get("ObjectLockEnabled") == "Enabled",
    }
    if lock.get("Rule", {}).get("DefaultRetention"):
        return Abilities(**of_bucket, retains_by_default=True)
    _remove_left(bucket)
    with _probe(bucket) as probe:
        tried = {
            "etag_is_md5": probe.etag_is_md5(),
            "refuses_existing_put": probe.refuses_existing_put(),
            "checks_md5": probe.checks_md5(),
            "takes_tags": probe.takes_tags(),
            "refuses_existing_complete": probe.refuses_existing_complete(),
            "etag_is_of_parts": probe.etag_is_of_parts(),
        }
    return Abilities(**of_bucket, **tried, may_delete=probe.may_delete)


def _answer_or_nothing(bucket: Bucket, operation: str) -> dict[str, Any]:
    try:
        return bucket.ask_again(operation)
    except PeerError as error:
        if error.retryable:
            raise
        return {}


def _remove_left(bucket: Bucket) -> None:
    """Remove the objects that those have left who were killed while they tried the store, as far as we may."""
    with suppress(PeerRefused):
        top = _prefix_of_probes(bucket)
        for one in bucket.list(top, limit=_MOST_LEFT):
            is_probe = _OF_PROBE.fullmatch(one.key.removeprefix(top)) and one.size_bytes <= len(_FIRST)
            if is_probe and one.last_modified and datetime.now(UTC) - one.last_modified > PROBE_LASTS:
                bucket.delete(one.key)


def _prefix_of_probes(bucket: Bucket) -> str:
    return f"{bucket.prefix}/{PROBE}".lstrip("/")


@contextmanager
def _probe(bucket: Bucket) -> Iterator[_Probe]:
    probe = _Probe(bucket)
    try:
        yield probe
    finally:
        with checked_while_waiting(lambda: None):
            probe.remove()


class _Probe:
    """Small objects by which a store is tried."""

    def __init__(self, bucket: Bucket) -> None:
        self.may_delete = True
        self._bucket = bucket
        self._key = f"{_prefix_of_probes(bucket)}{token_hex(8)}"
        self._wrong_key = f"{self._key}-wrong"
        self._versions: list[tuple[str, str | None]] = []

    def _put(self, key: str, content: bytes, **given: str) -> dict[str, Any]:
        answer = self._bucket.ask_again("put_object", key, Body=content, **given)
        self._versions.append((key, answer.get("VersionId")))
        return answer

    def etag_is_md5(self) -> bool:
        md5 = hashlib.md5(_FIRST, usedforsecurity=False).hexdigest()
        return str(self._put(self._key, _FIRST).get("ETag")).strip('"') == md5

    def refuses_existing_put(self) -> bool:
        try:
            self._put(self._key, _FIRST, IfNoneMatch="*")
        except DestinationExists:
            return True
        except NotByStore:
            pass
        return False

    def checks_md5(self) -> bool:
        wrong = b64encode(hashlib.md5(b"another", usedforsecurity=False).digest()).decode()

        def is_refused() -> bool:
            try:
                answer = self._bucket.ask("put_object", self._wrong_key, Body=b"one", ContentMD5=wrong)
            except CorruptedInTransfer:
                return True
            self._versions.append((self._wrong_key, answer.get("VersionId")))
            return False

        try:
            return self._bucket.pace.repeated(is_refused)
        except PeerError as error:
            if error.retryable:
                raise
            return False

    def takes_tags(self) -> bool:
        try:
            self._bucket.set_tags(self._key, {"probe": "yes"})
            # A store that does not know tags takes them for the object's new content, and gives that as the tags.
            found = self._bucket.look(self._key)
            is_untouched = found is not None and found.size_bytes == len(_FIRST)
            return is_untouched and self._bucket.tags(self._key) == {"probe": "yes"}
        except PeerError as error:
            if error.retryable:
                raise
            return False

    def refuses_existing_complete(self) -> bool:
        return not self._is_completed(IfNoneMatch="*")

    def etag_is_of_parts(self) -> bool:
        found = self._bucket.look(self._key) if self._is_completed() else None
        md5 = hashlib.md5(_PART, usedforsecurity=False).hexdigest()
        return found is not None and found.etag == etag_of_parts([md5])

    def _is_completed(self, **condition: str) -> bool:
        """Write by an upload of one part where something is, and tell whether that was not refused for it."""
        upload_id = self._bucket.begun(self._key)
        try:
            sent = self._bucket.ask_again("upload_part", self._key, UploadId=upload_id, PartNumber=1, Body=_PART)
            parts = {"Parts": [{"PartNumber": 1, "ETag": sent["ETag"]}]}
            answer = self._bucket.ask_again(
                "complete_multipart_upload", self._key, UploadId=upload_id, MultipartUpload=parts, **condition
            )
        except UploadGone:  # after an answer that was lost
            return True
        except StagingError as error:
            with suppress(StagingError, UploadGone), checked_while_waiting(lambda: None):
                self._bucket.abort(self._key, upload_id)
            if error.retryable or not isinstance(error, (PeerError, DestinationExists)):
                raise
            return not isinstance(error, DestinationExists)
        self._versions.append((self._key, answer.get("VersionId")))
        return True

    def remove(self) -> None:
        """Remove what was written, with each version of it."""
        for key, version in self._versions:
            try:
                self._bucket.delete(key, version_id=None if version == "null" else version)
            except PeerRefused:
                self.may_delete = False
            except StagingError:  # a name that tells what it is stays behind
                continue
