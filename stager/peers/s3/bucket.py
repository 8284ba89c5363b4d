"""A bucket, and what can be asked of it: each call as one function, tried again where that may help."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from botocore.exceptions import ClientError
from pydantic import SecretStr

from stager.errors import DestinationExists, DestinationTampered, PeerFault
from stager.peers.s3.client import client_for
from stager.peers.s3.objects import StoredObject, UnfinishedUpload
from stager.peers.s3.refusals import UploadGone, in_words, is_absent
from stager.peers.s3.retries import Pace

if TYPE_CHECKING:
    from stager.peers.s3.abilities import Abilities
    from stager.peers.s3.connection import StoreConnection

READ_BYTES = 1 << 20
SINGLE_BYTES = 16 << 20
PART_BYTES = 16 << 20


class Bucket:
    """A bucket of an object store; threads share it.

    Every call raises, beside what its own description says:

    - PeerNotReachable, PeerStalled, PeerFault, PeerBusy: there is no answer, or none that it should give, after
      several tries;
    - BucketUnknown, StoreKeysRefused, StoreKeysExpired, ClockSkewed, PeerRefused, ConfigurationError: it is
      not allowed, or not possible.

    Attributes
    ----------
    prefix
        Below which it is tried what the store is able to do.
    parts
        Sends the parts of large files, of all of them together.
    single_bytes, part_bytes
        Up to which size a file is sent by one call; and how large parts are at least.
    abilities, abilities_lock
        Of `abilities_of`: what its store lets these keys do, once that was tried.
    """

    def __init__(self, connection: StoreConnection, client: Any, parts: ThreadPoolExecutor, prefix: str) -> None:  # noqa: ANN401 - boto3 makes its class as it runs
        self.connection = connection
        self.title = connection.title
        self.prefix = prefix
        self.parts = parts
        self.pace = Pace()
        self.single_bytes = SINGLE_BYTES
        self.part_bytes = PART_BYTES
        self.abilities: Abilities | None = None
        self.abilities_lock = threading.Lock()
        self._client = client

    @classmethod
    @contextmanager
    def opened(
        cls,
        connection: StoreConnection,
        *,
        access_key: str,
        secret_key: SecretStr,
        session_token: SecretStr | None,
        prefix: str,
    ) -> Iterator[Self]:
        """Give a bucket to those who have such keys."""
        keys = {"access_key": access_key, "secret_key": secret_key, "session_token": session_token}
        with client_for(connection, **keys) as client, ThreadPoolExecutor(connection.parts_at_once) as parts:  # type: ignore[arg-type]
            yield cls(connection, client, parts, prefix)

    def address(self, key: str) -> str:
        """Return how an object is shown."""
        return f"s3://{self.connection.bucket}/{key}"

    def ask(self, operation: str, key: str = "", **given: Any) -> dict[str, Any]:  # noqa: ANN401 - each operation has its own
        """Return the answer to one call, which is not tried again."""
        with in_words(self.title, self.address(key)):
            named = {"Key": key} if key else {}
            answer: dict[str, Any] = getattr(self._client, operation)(
                Bucket=self.connection.bucket,
                **named,
                **{name: value for name, value in given.items() if value is not None},
            )
            return answer

    def ask_again(self, operation: str, key: str = "", **given: Any) -> dict[str, Any]:  # noqa: ANN401 - likewise
        """Return the answer to one call, which is tried again where that may help."""
        return self.pace.repeated(lambda: self.ask(operation, key, **given))

    def look(self, key: str, *, version_id: str | None = None) -> StoredObject | None:
        """Return what is at a key, or None."""
        return self.pace.repeated(lambda: self.look_once(key, version_id=version_id))

    def look_once(self, key: str, *, version_id: str | None = None) -> StoredObject | None:
        """Do as `look`, which is not tried again."""
        version = {"VersionId": version_id} if version_id else {}
        with in_words(self.title, self.address(key)):
            try:
                return StoredObject.told(
                    key, self._client.head_object(Bucket=self.connection.bucket, Key=key, **version)
                )
            except ClientError as error:
                if is_absent(error):
                    return None
                raise

    def list(self, prefix: str, *, limit: int | None = None) -> Iterator[StoredObject]:
        """Yield what is at the keys that begin with something, by their order; the first so many."""
        begin: dict[str, str] | None = {}
        left = limit
        while begin is not None and (left is None or left > 0):
            most = left if left is not None and left < 1000 else None  # noqa: PLR2004 - as many as a page has
            asked = {"Prefix": prefix, "MaxKeys": most, **begin}
            answer, begin = self._page("list_objects_v2", ("Name", "IsTruncated"), ("ContinuationToken",), asked)
            found = [StoredObject.listed(entry) for entry in answer.get("Contents", [])]
            yield from found
            left = None if left is None else left - len(found)

    def _page(
        self, operation: str, needed: Sequence[str], markers: Sequence[str], asked: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, str] | None]:
        """Return a page of a listing, and by which markers the next begins, if there is one.

        An answer that is cut, or of somebody else's, would else say that nothing is there. Names are
        not decoded here: boto asks for their encoding, and knows by the answer whether they are encoded.
        """

        def page() -> tuple[dict[str, Any], dict[str, str] | None]:
            answer = self.ask(operation, **asked)
            if any(name not in answer for name in needed):
                raise PeerFault(self.title, "what it gives for a listing is none")
            if not answer.get("IsTruncated"):
                return answer, None
            begin = {name: answer.get(f"Next{name}") or "" for name in markers}
            if not any(begin.values()) or begin == {name: asked.get(name) for name in markers}:
                raise PeerFault(self.title, "its listing does not say where it goes on")
            return answer, begin

        return self.pace.repeated(page)

    @contextmanager
    def read(
        self, key: str, *, start: int = 0, end: int | None = None, version_id: str | None = None, etag: str = ""
    ) -> Iterator[Iterator[bytes]]:
        """Give the content of an object, from one byte up to another, as it comes.

        Parameters
        ----------
        etag
            Of the object that is meant; where it is empty, whichever is there.

        Raises
        ------
        DestinationTampered
            Nothing is there, or another object.
        """
        part = None if start == 0 and end is None else f"bytes={start}-{'' if end is None else end - 1}"
        is_meant = f'"{etag}"' if etag else None
        try:
            answer = self.ask_again("get_object", key, Range=part, VersionId=version_id, IfMatch=is_meant)
        except DestinationExists as error:  # what a condition that does not hold is called elsewhere
            raise DestinationTampered(self.address(key), "somebody else has written it") from error
        with closing(answer["Body"]) as body, in_words(self.title, self.address(key)):
            if part and not str(answer.get("ContentRange", "")).startswith(f"bytes {start}-"):
                raise PeerFault(self.title, f"it gives another part of {self.address(key)} than was asked for")
            yield body.iter_chunks(READ_BYTES)

    def delete(self, key: str, *, version_id: str | None = None) -> None:
        """Delete what is at a key: for good where its version is given, else as the bucket keeps versions."""
        with suppress(DestinationTampered):  # some stores say so where nothing is, as after an answer that was lost
            self.ask_again("delete_object", key, VersionId=version_id)

    def delete_many(self, keys: Iterable[str], *, on_deleted: Callable[[str], None] = lambda _: None) -> None:
        """Delete what is at each of some keys, side by side; the first error ends it.

        Each by a call of its own: the one for many wants a checksum that is not the same for every store.

        Parameters
        ----------
        on_deleted
            Called in this thread with each that is gone, in the same order.
        """
        context = copy_context()
        with ThreadPoolExecutor(self.connection.files_at_once) as threads:
            try:
                for key in threads.map(lambda key: context.copy().run(self._deleted, key), keys):
                    on_deleted(key)
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                raise

    def _deleted(self, key: str) -> str:
        self.delete(key)
        return key

    def unfinished(self, prefix: str) -> Iterator[UnfinishedUpload]:
        """Yield the uploads to keys that begin with something, which are neither completed nor aborted."""
        begin: dict[str, str] | None = {}
        while begin is not None:
            asked = {"Prefix": prefix, **begin}
            try:
                answer, begin = self._page(
                    "list_multipart_uploads", ("Bucket",), ("KeyMarker", "UploadIdMarker"), asked
                )
            except UploadGone:  # what rclone says where there never was one
                return
            for entry in answer.get("Uploads", []):
                yield UnfinishedUpload(key=entry["Key"], upload_id=entry["UploadId"], initiated=entry.get("Initiated"))

    def begun(self, key: str, **given: Any) -> str:  # noqa: ANN401 - as of `ask`
        """Begin an upload in parts, and return its id.

        Where an answer is lost, an upload without parts stays behind: nothing tells it from another writer's.
        """
        upload_id = self.ask_again("create_multipart_upload", key, **given).get("UploadId")
        if not upload_id:
            raise PeerFault(self.title, f"it gives no id to an upload to {self.address(key)}")
        return str(upload_id)

    def abort(self, key: str, upload_id: str) -> bool:
        """Remove the parts of an upload, and return whether it was there.

        Nobody may be sending any, nor be completing it.
        """
        if not upload_id:  # stores would delete what is at the key
            return False
        try:
            self.ask_again("abort_multipart_upload", key, UploadId=upload_id)
        except UploadGone:
            return False
        return True

    def tags(self, key: str, *, version_id: str | None = None) -> dict[str, str]:
        """Return an object's tags; raises NotByStore where the store has none."""
        found = self.ask_again("get_object_tagging", key, VersionId=version_id).get("TagSet", [])
        return {tag["Key"]: tag["Value"] for tag in found}

    def set_tags(self, key: str, tags: Mapping[str, str], *, version_id: str | None = None) -> None:
        """Give an object these tags and no others; raises as `tags`."""
        given = {"TagSet": [{"Key": name, "Value": value} for name, value in tags.items()]}
        self.ask_again("put_object_tagging", key, Tagging=given, VersionId=version_id)

    def presigned(self, key: str, method: str, *, seconds: int, filename: str) -> str:
        """Return an address by which one object can be read for some time by whoever has it, by GET or by HEAD."""
        disposition = f"attachment; filename*=UTF-8''{quote(filename, safe='')}"
        asked = {"Bucket": self.connection.bucket, "Key": key, "ResponseContentDisposition": disposition}
        operation = "head_object" if method == "HEAD" else "get_object"
        with in_words(self.title, self.address(key)):
            return str(self._client.generate_presigned_url(operation, Params=asked, ExpiresIn=seconds))
