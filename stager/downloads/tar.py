"""Directories as tar archives (POSIX.1-2001, which keeps any name)."""

from __future__ import annotations

import stat
import tarfile
from collections.abc import Iterator

from stager.downloads.archive import ArchiveEntry
from stager.downloads.pieces import FileRun, Piece

_TYPES = {stat.S_IFREG: tarfile.REGTYPE, stat.S_IFDIR: tarfile.DIRTYPE, stat.S_IFLNK: tarfile.SYMTYPE}
MEDIA_TYPE = "application/x-tar"


class Tar:
    """The layout of a tar archive: headers by the standard library, contents as ranges of files.

    Owners are left out, times are whole seconds: nothing in it depends on
    when or where it is made.
    """

    def __init__(self) -> None:
        self._position = 0

    def size_of(self, entry: ArchiveEntry) -> int:
        """Return the length of an entry."""
        size = len(_header(entry)) + _padded(_content_bytes(entry))
        self._position += size
        return size

    def size_of_end(self) -> int:
        """Return the length of the end: two empty blocks, and zeros up to a whole record."""
        return _end_bytes(self._position)

    def pieces(self, entries: Iterator[ArchiveEntry]) -> Iterator[Piece]:
        """Yield the archive in pieces."""
        position = 0
        for entry in entries:
            size = _content_bytes(entry)
            header = _header(entry)
            yield header
            if size:
                with entry.open() as content:
                    yield FileRun(content.fd, 0, size, entry.path)
                yield bytes(_padded(size) - size)
            position += len(header) + _padded(size)
        yield bytes(_end_bytes(position))


def _header(entry: ArchiveEntry) -> bytes:
    info = tarfile.TarInfo(entry.path)
    info.type = _TYPES[stat.S_IFMT(entry.status.st_mode)]
    info.mode = stat.S_IMODE(entry.status.st_mode)
    info.mtime = entry.status.st_mtime_ns // 1_000_000_000
    info.size = _content_bytes(entry)
    info.linkname = entry.link
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _content_bytes(entry: ArchiveEntry) -> int:
    return entry.status.st_size if stat.S_ISREG(entry.status.st_mode) else 0


def _padded(size: int) -> int:
    return -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def _end_bytes(position: int) -> int:
    end = position + 2 * tarfile.BLOCKSIZE
    return -(-end // tarfile.RECORDSIZE) * tarfile.RECORDSIZE - position
