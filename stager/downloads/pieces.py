"""The pieces of a body: bytes in memory, and ranges of open files that are passed on unread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from stager.checksums import EMPTY, update
from stager.engine.file_reading import read_block

# Bytes read at a time for a checksum.
SUMMED_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class FileRun:
    """A range of bytes of an open file."""

    fd: int
    offset: int
    size_bytes: int
    display: str


Piece = bytes | FileRun


def size_of(piece: Piece) -> int:
    """Return how many bytes a piece stands for."""
    return len(piece) if isinstance(piece, bytes) else piece.size_bytes


def cut(pieces: Iterable[Piece], start: int, end: int) -> Iterator[Piece]:
    """Yield the pieces of a range of the bytes that some pieces make up together.

    Every piece is asked for, also behind the end: whoever makes them may
    have something to say at the very end. For one that is not wanted, an
    empty one is given: whoever asks may have something else to do by then.
    """
    position = 0
    for piece in pieces:
        first, last = max(start - position, 0), min(end - position, size_of(piece))
        position += size_of(piece)
        if first >= last:
            yield b""
        elif isinstance(piece, bytes):
            yield piece[first:last]
        else:
            yield FileRun(piece.fd, piece.offset + first, last - first, piece.display)


@dataclass
class SummedPieces:
    """Pieces whose checksum is taken just before they are yielded, so that the page cache has them."""

    pieces: Iterable[Piece]
    adler32: int = EMPTY
    _buffer: memoryview = field(default_factory=lambda: memoryview(bytearray(SUMMED_BYTES)))

    def __iter__(self) -> Iterator[Piece]:
        for piece in self.pieces:
            if isinstance(piece, bytes):
                self.adler32 = update(piece, self.adler32)
                yield piece
                continue
            for done in range(0, piece.size_bytes, SUMMED_BYTES):
                yield self._read(piece, done)

    def _read(self, run: FileRun, done: int) -> FileRun:
        block = self._buffer[: min(SUMMED_BYTES, run.size_bytes - done)]
        size = read_block(run.fd, block, run.offset + done, run.display)
        while size < len(block):
            size += read_block(run.fd, block[size:], run.offset + done + size, run.display)
        self.adler32 = update(block, self.adler32)
        return FileRun(run.fd, run.offset + done, size, run.display)
