"""Whether what a bucket has at a place is what would be delivered there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from stager.checksums import MD5, SHA256, Checksum, ChecksumAlgorithm
from stager.engine import Control
from stager.engine.source import Source
from stager.methods.bucket_manifest import MANIFEST, Manifest, manifest_at
from stager.methods.bucket_path import BucketPath
from stager.methods.product_files import ProductFile, below, product_files
from stager.methods.product_sums import fingerprint_of, manifest_entry, require, sums_of
from stager.peers.s3.abilities import abilities_of
from stager.peers.s3.bucket import Bucket
from stager.peers.s3.etags import etag_of
from stager.peers.s3.objects import StoredObject, told_checksums
from stager.peers.s3.upload import sums_at
from stager.vocabulary import ManifestEntry


class BucketDiffers(Exception):
    """Raised at the first difference, with it in words."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"{path or 'it'} {what}")


def objects_at(bucket: Bucket, place: BucketPath) -> dict[str, StoredObject]:
    """Return what is at a place, by paths in it: an object of its own key has the empty one.

    Empty objects whose keys end in a slash are left out: other clients make those to have folders.
    """
    listed = (one for one in bucket.list(place.inside) if one.size_bytes or not one.key.endswith("/"))
    there = {one.key.removeprefix(place.inside): one for one in listed if one.key != place.inside}
    if (itself := bucket.look(place.object_key)) is not None:
        there[""] = itself
    return there


def fingerprint_at(there: Mapping[str, StoredObject]) -> str:
    """Return what stands for some objects as long as nobody writes them again, adds one or deletes one."""
    return fingerprint_of(
        (path, f"{one.etag} {one.version_id or ''}" if not path else one.etag, one.size_bytes)
        for path, one in sorted(there.items())
    )


def difference(
    bucket: Bucket,
    place: BucketPath,
    there: Mapping[str, StoredObject],
    source: Source,
    *,
    wanted: Checksum | None,
    reads_back: bool,
    on_file: Callable[[ManifestEntry], None],
    control: Control,
) -> str | None:
    """Return the first difference in words, or None; the source is read, and what the bucket has is known by checksums.

    Parameters
    ----------
    there
        What is at the place.
    reads_back
        Whether what the bucket has is read, too.

    Raises
    ------
    SourceMismatch
        They are the same, and have another checksum than the request says.
    """
    same = _of_directory if source.is_directory else _of_file
    try:
        for file, told in same(bucket, place, there, source):
            display = below(source.display, file.path)
            sums = told(file, display, control, wanted)
            require(display, wanted, sums)
            if reads_back:
                _require_content(bucket, file.path, there[file.path], sums, control)
            on_file(manifest_entry(source, file.path, file.status.st_size, sums))
    except BucketDiffers as found:
        return str(found)
    return None


def _require_content(
    bucket: Bucket, path: str, stored: StoredObject, sums: Mapping[ChecksumAlgorithm, Checksum], control: Control
) -> None:
    if sums_at(bucket, stored, sums, on_bytes=lambda _: control.advance(0)) != sums:
        raise BucketDiffers(path, "is read back with another content than the source has")


# No store takes smaller parts, but for the last.
_LEAST_PART_BYTES = 5 << 20

Told = Callable[[ProductFile, str, Control, Checksum | None], Mapping[ChecksumAlgorithm, Checksum]]


def _of_file(
    bucket: Bucket, place: BucketPath, there: Mapping[str, StoredObject], source: Source
) -> Iterator[tuple[ProductFile, Told]]:
    if there.keys() != {""}:
        raise BucketDiffers("", "is a directory, the source is a file")
    stored = there[""]
    [file] = product_files(source)
    _require_size(file, stored.size_bytes)
    checksums = stored.checksums
    if SHA256 not in checksums and abilities_of(bucket).takes_tags:
        checksums = told_checksums(bucket.tags(place.object_key))
    yield file, (_by_sha256(checksums[SHA256].value) if SHA256 in checksums else _by_etag(bucket, stored))


def _of_directory(
    bucket: Bucket, place: BucketPath, there: Mapping[str, StoredObject], source: Source
) -> Iterator[tuple[ProductFile, Told]]:
    if "" in there:
        raise BucketDiffers("", "is a file, the source is a directory")
    manifest = manifest_at(bucket, place, object_count=len(there))
    if manifest is None:
        raise BucketDiffers("", "has no manifest of the staging service's")
    _require_as_delivered(manifest, there)
    left = {*manifest.files}
    folders = []
    for each in product_files(source):
        if each.is_directory:
            folders.append(each.path)
            continue
        if each.path not in left:
            raise BucketDiffers(each.path, "is not there")
        left.remove(each.path)
        _require_size(each, manifest.files[each.path].size_bytes)
        yield each, _by_sha256(manifest.files[each.path].sha256)
    if left:
        raise BucketDiffers(min(left), "is only there")
    if folders != [*manifest.directories]:
        raise BucketDiffers("", "has other directories")


def _require_as_delivered(manifest: Manifest, there: Mapping[str, StoredObject]) -> None:
    """Raise where the objects are not those that the manifest names."""
    names = there.keys() - {MANIFEST}
    if more := names - manifest.files.keys():
        raise BucketDiffers(min(more), "is only there")
    for path, file in manifest.files.items():
        found = there.get(path)
        if found is None:
            raise BucketDiffers(path, "is not there")
        if (found.size_bytes, found.etag) != (file.size_bytes, file.etag):
            raise BucketDiffers(path, "is not what was delivered")


def _require_size(file: ProductFile, size_bytes: int) -> None:
    if file.status.st_size != size_bytes:
        raise BucketDiffers(file.path, f"has {size_bytes} bytes, the source has {file.status.st_size}")


def _by_sha256(sha256: str) -> Told:
    def told(
        file: ProductFile, display: str, control: Control, wanted: Checksum | None
    ) -> Mapping[ChecksumAlgorithm, Checksum]:
        sums = sums_of(file, display, control.advance, wanted)
        if sums[SHA256].value != sha256:
            raise BucketDiffers(file.path, "has another content than the source")
        return sums

    return told


def _by_etag(bucket: Bucket, stored: StoredObject) -> Told:
    """Return what compares by the ETag, where that is made of MD5s; somebody else has written the object."""
    in_parts, part_bytes = stored.parts is not None, stored.part_bytes
    if not abilities_of(bucket).etag_is_md5 or (in_parts and (part_bytes or 0) < _LEAST_PART_BYTES):
        raise BucketDiffers("", "has no checksum that we know")

    def told(
        file: ProductFile, display: str, control: Control, wanted: Checksum | None
    ) -> Mapping[ChecksumAlgorithm, Checksum]:
        algorithms = [MD5, *([wanted.algorithm] if wanted else [])]
        etag, sums = etag_of(
            file.content.fd,
            display,
            part_bytes=part_bytes if in_parts else None,
            algorithms=algorithms,
            on_bytes=lambda _: control.advance(0),
        )
        if etag != stored.etag:
            raise BucketDiffers(file.path, "has another content than the source")
        return sums

    return told
