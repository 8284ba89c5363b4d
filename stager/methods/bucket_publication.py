"""Publication in a bucket: a lone object appears at one moment; of a directory the manifest is written last."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from stager.checksums import ADLER32, SHA256
from stager.engine import Control
from stager.engine.source import opened
from stager.errors import DestinationDiffers, DestinationExists, DestinationTampered, SourceChanged
from stager.methods.bucket_comparison import objects_at
from stager.methods.bucket_journal import DELIVERY
from stager.methods.bucket_manifest import MANIFEST, Manifest, ManifestFile, put_manifest
from stager.methods.bucket_staged import BucketStaged
from stager.methods.bucket_transfer import FILES_AT_ONCE, completed, uploaded
from stager.methods.method import Item
from stager.methods.product_files import ProductFile, below, product_files
from stager.methods.product_sums import require_unchanged
from stager.methods.uploads import OnBytes, Uploads
from stager.peers.s3.bucket import Bucket
from stager.peers.s3.objects import StoredObject
from stager.peers.s3.upload import read_back
from stager.peers.s3.uploaded import UploadedObject
from stager.vocabulary import Verify

T = TypeVar("T")
CHANGED = "it changed while the source was copied"


def publish(
    bucket: Bucket, item: Item, staged: BucketStaged, *, confirm: Callable[[], None]
) -> dict[str, StoredObject]:
    """Have a product count as delivered, and return its objects by their paths in it, the manifest's among them.

    What is replaced goes file by file, once its manifest is gone. Repeatable.

    Parameters
    ----------
    confirm
        Called right before something can be seen, and before the manifest: much may have been sent, and read back,
        since. What it raises stops it.

    Raises
    ------
    DestinationDiffers
        Something is there, or something else than there was.
    DestinationTampered
        What is there at the end, or is read back where the item wants that, is not what was sent.
    SourceChanged
        The source is not what was read.
    StagingError
        As by `upload` and `completed`.
    """
    place = staged.place
    if not staged.has_begun:
        _require_as_before(bucket, staged)
    confirm()
    staged.has_begun = True
    if MANIFEST in staged.previous:
        bucket.delete(staged.key(MANIFEST))
    bucket.delete_many(staged.key(path) for path in staged.previous.keys() - staged.files.keys() - {MANIFEST})
    _make_objects(bucket, item, staged)
    there = objects_at(bucket, place)
    _require_what_was_sent(there, staged)
    if item.verify is Verify.READ:
        _read_back(bucket, staged)
    if staged.kind == "directory" and MANIFEST not in there:
        confirm()
        put_manifest(bucket, place, _manifest(staged), staged.journal.metadata)
        there = objects_at(bucket, place)
    return there


def _require_as_before(bucket: Bucket, staged: BucketStaged) -> None:
    there = {path: (one.etag, one.size_bytes) for path, one in objects_at(bucket, staged.place).items()}
    before = {path: (one.etag, one.size_bytes) for path, one in staged.previous.items()}
    sent = {path: (one.etag, one.size_bytes) for path, one in staged.uploaded.items()}
    if there != before | sent:
        raise DestinationDiffers(staged.place.display, CHANGED)


def _require_what_was_sent(there: Mapping[str, StoredObject], staged: BucketStaged) -> None:
    if more := there.keys() - staged.uploaded.keys() - {MANIFEST}:
        raise DestinationTampered(staged.display(min(more)), "somebody put it there")
    for path, sent in staged.uploaded.items():
        found = there.get(path)
        if found is None:
            raise DestinationTampered(staged.display(path), "it is gone")
        if (found.size_bytes, found.etag) != (sent.size_bytes, sent.etag):
            raise DestinationTampered(staged.display(path), "somebody else has written it")


def _read_back(bucket: Bucket, staged: BucketStaged) -> None:
    """Read all that was sent, several files at a time, and compare it with what was read at the source."""

    def reading(sent: UploadedObject) -> Callable[[OnBytes], dict[str, None]]:
        def read(on_bytes: OnBytes) -> dict[str, None]:
            read_back(bucket, sent, on_bytes=on_bytes)
            return {}

        return read

    reads: Uploads[None] = _several(lambda *_: None)
    with reads:
        for sent in staged.uploaded.values():
            reads.begin(reading(sent))
        reads.finish()


def _several(on_arrived: Callable[[str, T], None]) -> Uploads[T]:
    """Return what does several files at a time; publication tells no progress, and hears no stop."""
    return Uploads(on_arrived, Control(lambda *_: None, threading.Event()), at_once=FILES_AT_ONCE)


def _manifest(staged: BucketStaged) -> Manifest:
    files = {
        path: ManifestFile(
            size_bytes=file.size_bytes,
            adler32=file.checksums[ADLER32].value,
            sha256=file.checksums[SHA256].value,
            etag=staged.uploaded[path].etag,
        )
        for path, file in staged.files.items()
    }
    return Manifest(delivery=staged.journal.delivery, files=files, directories=staged.folders)


def _make_objects(bucket: Bucket, item: Item, staged: BucketStaged) -> None:
    """Have each file of a product be an object: of what was sent, or by sending it now."""

    def on_arrived(path: str, arrived: UploadedObject) -> None:
        if arrived.checksums[SHA256] != staged.files[path].checksums[SHA256]:
            raise SourceChanged(item.source.display, "it is not what it was when it was read first")
        staged.uploaded[path] = arrived
        if sent := staged.sent.pop(path, None):
            staged.journal.note_end(sent.upload_id)

    making, left = _Making(bucket, staged), staged.files.keys() - staged.uploaded.keys() - staged.sent.keys()
    with _several(on_arrived) as uploads:
        for path in [*staged.sent]:
            uploads.begin(making.completed(path))
        if left:
            with opened(item.source) as source:
                require_unchanged(source, staged.survey)
                for file in product_files(source):
                    if file.path in left:
                        uploads.begin(making.written(file, source.display))
        uploads.finish()


Made = Callable[[OnBytes], dict[str, UploadedObject]]


@dataclass(frozen=True)
class _Making:
    bucket: Bucket
    staged: BucketStaged

    def completed(self, path: str) -> Made:
        sent, replaces = self.staged.sent[path], path in self.staged.previous
        journal = self.staged.journal
        return lambda _: {path: self._made(path, lambda: completed(self.bucket, sent, journal, replace=replaces))}

    def written(self, file: ProductFile, display: str) -> Made:
        kept, path = file.kept(), file.path
        name, replace = below(display, path), path in self.staged.previous

        def made(on_bytes: OnBytes) -> dict[str, UploadedObject]:
            with kept.content:
                write = partial(uploaded, self.bucket, self.staged, kept, name, on_bytes=on_bytes, replace=replace)
                return {path: self._made(path, write)}

        return made

    def _made(self, path: str, make: Callable[[], UploadedObject]) -> UploadedObject:
        """Make an object, or find that an earlier try has made it, whose answer was lost."""
        try:
            return make()
        except DestinationExists as error:
            found = self.bucket.look(self.staged.key(path))
            file = self.staged.files[path]
            is_ours = found is not None and found.metadata.get(DELIVERY) == self.staged.journal.delivery
            if found is None or not is_ours or found.size_bytes != file.size_bytes:
                raise DestinationDiffers(self.staged.place.display, CHANGED) from error
            return UploadedObject(
                key=found.key,
                size_bytes=found.size_bytes,
                etag=found.etag,
                version_id=found.version_id,
                attempt=found.attempt or "",
                checksums=file.checksums,
                verified_by="size",
                has_checksums=bool(found.checksums),
            )
