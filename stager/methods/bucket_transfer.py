"""A product gets to a bucket, several files at once, without counting as delivered yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from stager.checksums import Checksum
from stager.engine import Control
from stager.engine.source import Source
from stager.errors import DestinationDiffers, DestinationExists
from stager.methods.bucket_journal import Journal
from stager.methods.bucket_staged import BucketStaged, FileSums
from stager.methods.product_files import ProductFile, below, product_files
from stager.methods.product_sums import manifest_entry, sums_of
from stager.methods.uploads import OnBytes, Uploads
from stager.peers.s3.bucket import Bucket
from stager.peers.s3.completion import Sent
from stager.peers.s3.multipart import put_together, send
from stager.peers.s3.upload import upload
from stager.peers.s3.uploaded import UploadedObject
from stager.vocabulary import ManifestEntry

# A file of no more bytes is sent by one call, when it is published.
SENT_LAST_BYTES = 1 << 20
# Files of a product that go at a time.
FILES_AT_ONCE = 16

Arrived = UploadedObject | Sent | FileSums


def bring(
    bucket: Bucket,
    source: Source,
    staged: BucketStaged,
    *,
    wanted: Checksum | None,
    on_file: Callable[[ManifestEntry], None],
    control: Control,
) -> None:
    """Send a source, as far as nobody sees anything that is not whole.

    The files of a directory become objects at once where nothing was before: without its manifest, it is not
    delivered. Of what is to appear by itself, or replaces something, no object is made yet: small files
    are only read for their checksums, and of others the parts are sent.

    Raises
    ------
    DestinationDiffers
        Somebody else has written there meanwhile.
    StagingError
        As by `upload`, `send` and `product_files`; nothing is sent any more then.
    """

    def on_arrived(path: str, arrived: Arrived) -> None:
        match arrived:
            case UploadedObject():
                staged.uploaded[path] = arrived
            case Sent():
                staged.sent[path] = arrived
        staged.files[path] = file = FileSums(size_bytes=arrived.size_bytes, checksums=arrived.checksums)
        on_file(manifest_entry(source, path, file.size_bytes, file.checksums))

    with Uploads(on_arrived, control, at_once=FILES_AT_ONCE) as uploads:
        bringing = _Bringing(bucket=bucket, source=source, staged=staged, wanted=wanted)
        for each in product_files(source):
            if each.is_directory:
                staged.folders.append(each.path)
                if not each.path:
                    staged.journal.note_directory()
                uploads.look()
            else:
                uploads.begin(bringing.of(each))
        uploads.finish()


def completed(bucket: Bucket, sent: Sent, journal: Journal, *, replace: bool) -> UploadedObject:
    """Have parts become an object, with that on record before; raises as `put_together`."""
    journal.note_completion(sent.upload_id)
    try:
        return put_together(bucket, sent, replace=replace)
    except DestinationExists:
        if not sent.may_be_ending:
            journal.note_refusal(sent.upload_id)
        raise


def uploaded(
    bucket: Bucket, staged: BucketStaged, file: ProductFile, display: str, *, on_bytes: OnBytes, replace: bool = False
) -> UploadedObject:
    """Have a file of a product be an object, by sending it now; raises as `upload`."""
    return upload(
        bucket,
        file.content.fd,
        staged.key(file.path),
        source_name=display,
        on_bytes=on_bytes,
        on_multipart=staged.journal.note_parts,
        replace=replace,
        metadata=staged.journal.metadata,
    )


@dataclass(frozen=True, kw_only=True)
class _Bringing:
    bucket: Bucket
    source: Source
    staged: BucketStaged
    wanted: Checksum | None

    def of(self, each: ProductFile) -> Callable[[OnBytes], Mapping[str, Arrived]]:
        """Return what brings a file, whose content it keeps open until that is done."""
        file = each.kept()
        bring_it = self._way_of(file)

        def brought(on_bytes: OnBytes) -> Mapping[str, Arrived]:
            with file.content:
                return {file.path: bring_it(on_bytes)}

        return brought

    def _way_of(self, file: ProductFile) -> Callable[[OnBytes], Arrived]:
        if self.staged.folders and not self.staged.previous:
            return partial(self._uploaded, file)
        if file.status.st_size <= SENT_LAST_BYTES:
            return partial(self._read, file)
        return partial(self._sent, file)

    def _read(self, file: ProductFile, on_bytes: OnBytes) -> FileSums:
        sums = sums_of(file, self._display(file), on_bytes, self.wanted)
        on_bytes(file.status.st_size)
        return FileSums(size_bytes=file.status.st_size, checksums=sums)

    def _sent(self, file: ProductFile, on_bytes: OnBytes) -> Sent:
        return send(
            self.bucket,
            file.content.fd,
            self.staged.key(file.path),
            source_name=self._display(file),
            on_bytes=on_bytes,
            on_multipart=self.staged.journal.note_parts,
            algorithms=[self.wanted.algorithm] if self.wanted else [],
            metadata=self.staged.journal.metadata,
        )

    def _uploaded(self, file: ProductFile, on_bytes: OnBytes) -> UploadedObject:
        try:
            if file.status.st_size > self.bucket.single_bytes:
                made = completed(self.bucket, sent := self._sent(file, on_bytes), self.staged.journal, replace=False)
                self.staged.journal.note_end(sent.upload_id)
                return made
            return uploaded(self.bucket, self.staged, file, self._display(file), on_bytes=on_bytes)
        except DestinationExists as error:
            raise DestinationDiffers(self.staged.place.display, "it changed while the source was copied") from error

    def _display(self, file: ProductFile) -> str:
        return below(self.source.display, file.path)
