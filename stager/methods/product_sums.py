"""What is known of a product by its bytes: the checksums of its files, and one line that stands for all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping

from stager.checksums import ADLER32, SHA256, Checksum, ChecksumAlgorithm, Sums
from stager.engine import Survey
from stager.engine.file_reading import BLOCK_BYTES, read_block
from stager.engine.source import Source
from stager.engine.survey import survey_opened
from stager.errors import SourceChanged, SourceMismatch
from stager.methods.product_files import ProductFile
from stager.vocabulary import ManifestEntry


def fingerprint_of(files: Iterable[tuple[str, str, int]]) -> str:
    """Return the SHA-256 of one line for each file: its SHA-256, size and path, that of a lone file being empty."""
    whole = hashlib.sha256()
    for path, sha256, size_bytes in files:
        whole.update(f"{sha256} {size_bytes} {path}\n".encode())
    return whole.hexdigest()


def sums_of(
    file: ProductFile, display: str, on_bytes: Callable[[int], None], wanted: Checksum | None
) -> Mapping[ChecksumAlgorithm, Checksum]:
    """Return a file's SHA-256 and Adler-32, and its checksum as the request has it, by reading it.

    Raises
    ------
    SourceChanged, StorageFault
        It is shorter than it was, or cannot be read.
    Cancelled
        By ``on_bytes``, which is called with 0 again and again.
    """
    sums = Sums(SHA256, *([wanted.algorithm] if wanted else []))
    view, position = memoryview(bytearray(BLOCK_BYTES)), 0
    while position < file.status.st_size:
        wished = min(BLOCK_BYTES, file.status.st_size - position)
        read = read_block(file.content.fd, view[:wished], position, display)
        sums.update(view[:read])
        position += read
        on_bytes(0)
    return sums.checksums


def manifest_entry(
    source: Source, path: str, size_bytes: int, sums: Mapping[ChecksumAlgorithm, Checksum]
) -> ManifestEntry:
    """Return what a manifest says of a file of a source; that of a lone file has its name."""
    name = path or source.name.decode("utf-8", "surrogateescape")
    return ManifestEntry(path=name, size_bytes=size_bytes, checksum=sums[ADLER32].value)


def require(display: str, wanted: Checksum | None, found: Mapping[ChecksumAlgorithm, Checksum]) -> None:
    """Raise `SourceMismatch` if a source's checksum is not the requested one."""
    if wanted is not None and found[wanted.algorithm] != wanted:
        raise SourceMismatch(display, f"its checksum is {found[wanted.algorithm]}, not the requested {wanted}")


def manifest_checksum(files: Iterable[tuple[str, str, int]]) -> str:
    """Return the SHA-256 over a manifest's lines, as a mounted copy has it: Adler-32, size and path of each file."""
    lines = (f"{adler32} {size_bytes} {path}\n" for path, adler32, size_bytes in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def require_unchanged(source: Source, survey: Survey) -> None:
    """Raise `SourceChanged` unless a source is what it was when it was surveyed."""
    if survey_opened(source).fingerprint != survey.fingerprint:
        raise SourceChanged(source.display, "it is not what it was when it was checked")
