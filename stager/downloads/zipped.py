"""Directories as zip archives: uncompressed, with 64-bit fields, by the standard library.

Contents pass through here because a zip has their CRC-32. A part of it is
found by making all that stands before it.
"""

from __future__ import annotations

import io
import os
import re
import stat
import time
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

from stager.downloads.archive import ArchiveEntry
from stager.downloads.pieces import Piece
from stager.errors import SourceChanged

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

MEDIA_TYPE = "application/zip"
BLOCK_BYTES = 256 * 1024
_FIRST, _LAST = (1980, 1, 1, 0, 0, 0), (2107, 12, 31, 23, 59, 58)
# Bytes that are not UTF-8, and a percent sign that would look like an escape of such a byte, or of itself.
_ESCAPED = re.compile("[\udc80-\udcff]|%(?=25|[89A-F][0-9A-F])")
# Lengths by APPNOTE.TXT: 4.3.7 with a 64-bit extra field, 4.3.9, 4.3.12, 4.3.16, 4.3.14 with 4.3.15.
_LOCAL, _DESCRIPTOR, _CENTRAL, _END, _END_64 = 30 + 20, 24, 46, 22, 56 + 20


class Zip:
    """The layout of a zip archive."""

    def __init__(self) -> None:
        self._position = self._count = self._central = 0

    def size_of(self, entry: ArchiveEntry) -> int:
        """Return the length of an entry, and add the length of its record in the central directory."""
        name, size = len(_name(entry).encode()), _content_bytes(entry)
        wide = 16 * (size > zipfile.ZIP64_LIMIT) + 8 * (self._position > zipfile.ZIP64_LIMIT)
        self._central += _CENTRAL + name + (wide + 4 if wide else 0)
        self._count += 1
        length = _LOCAL + name + size + _DESCRIPTOR
        self._position += length
        return length

    def size_of_end(self) -> int:
        """Return the length of the central directory."""
        is_wide = self._count > zipfile.ZIP_FILECOUNT_LIMIT or max(self._position, self._central) > zipfile.ZIP64_LIMIT
        return self._central + _END + (_END_64 if is_wide else 0)

    def pieces(self, entries: Iterator[ArchiveEntry]) -> Iterator[Piece]:
        """Yield the archive in pieces."""
        written = _Written()
        with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
            for entry in entries:
                with archive.open(_info(entry), "w", force_zip64=True) as member:
                    for block in _content(entry):
                        member.write(block)
                        yield written.taken()
                yield written.taken()
        yield written.taken()


class _Written(io.RawIOBase):
    """A file that keeps what is written until it is taken, and cannot seek."""

    def __init__(self) -> None:
        super().__init__()
        self._blocks: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, block: ReadableBuffer) -> int:
        self._blocks.append(bytes(block))
        return len(self._blocks[-1])

    def taken(self) -> bytes:
        blocks, self._blocks = self._blocks, []
        return b"".join(blocks)


def _info(entry: ArchiveEntry) -> zipfile.ZipInfo:
    moment = time.gmtime(entry.status.st_mtime_ns // 1_000_000_000)[:6]
    info = zipfile.ZipInfo(_name(entry), min(max(moment, _FIRST), _LAST))
    info.create_system = 3  # Unix: the mode counts
    info.external_attr = (entry.status.st_mode & 0xFFFF) << 16 | (0x10 if info.is_dir() else 0)
    return info


def _name(entry: ArchiveEntry) -> str:
    """Return an entry's name in UTF-8, which a zip's must be: other bytes as ``%XX``.

    Where the name itself says such a thing, its ``%`` is ``%25``: no two names become one.
    """
    slash = "/" if stat.S_ISDIR(entry.status.st_mode) else ""
    return _ESCAPED.sub(lambda c: "%25" if c[0] == "%" else f"%{ord(c[0]) - 0xDC00:02X}", entry.path) + slash


def _content_bytes(entry: ArchiveEntry) -> int:
    if stat.S_ISLNK(entry.status.st_mode):
        return len(os.fsencode(entry.link))
    return entry.status.st_size if stat.S_ISREG(entry.status.st_mode) else 0


def _content(entry: ArchiveEntry) -> Iterator[bytes]:
    if stat.S_ISLNK(entry.status.st_mode):
        yield os.fsencode(entry.link)
        return
    left = _content_bytes(entry)
    if not left:
        return
    with entry.open() as content:
        while left:
            block = os.read(content.fd, min(left, BLOCK_BYTES))
            if not block:
                raise SourceChanged(entry.path, "it is shorter than it was")
            left -= len(block)
            yield block
