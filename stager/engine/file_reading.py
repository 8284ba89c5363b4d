"""How a file's content is read: in blocks, past its holes, and for its checksum."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from stager.checksums import EMPTY, Hasher, append_zeros, update
from stager.engine.control import Control
from stager.errors import SourceChanged, source_error
from stager.slices.copying import is_sparse

# Larger writes into the page cache of ext4 took up to eight times as long (docs/reference/speed/mover.md).
BLOCK_BYTES = 256 << 10
_ZEROS = memoryview(bytes(BLOCK_BYTES))


def checksum_of(source: int, status: os.stat_result, path: str, control: Control, hasher: Hasher | None = None) -> int:
    """Read a file for its checksum alone, but not its holes; return its Adler-32."""
    checksum, position = EMPTY, 0
    buffer = bytearray(BLOCK_BYTES)
    view = memoryview(buffer)
    for start, end in ranges_of_data(source, status, path):
        checksum = past_hole(checksum, start - position, hasher, control)
        position = start
        while position < end:
            read = read_block(source, view[: min(BLOCK_BYTES, end - position)], position, path)
            checksum = update(view[:read], checksum)
            if hasher:
                hasher.update(view[:read])
            position += read
            control.advance(0)
    return past_hole(checksum, status.st_size - position, hasher, control)


def past_hole(checksum: int, size_bytes: int, hasher: Hasher | None, control: Control) -> int:
    """Return the Adler-32 after a hole; another checksum takes its zeros one by one."""
    if hasher:
        for left in range(size_bytes, 0, -BLOCK_BYTES):
            hasher.update(_ZEROS[:left])
            control.advance(0)
    return append_zeros(checksum, size_bytes)


def ranges_of_data(source: int, status: os.stat_result, path: str) -> Iterator[tuple[int, int]]:
    """Yield the ranges of data of a file in order, lseek(2); one range if it has no holes."""
    size, end = status.st_size, 0
    while end < size:
        try:
            start = os.lseek(source, end, os.SEEK_DATA) if is_sparse(status) else 0
            end = min(os.lseek(source, start, os.SEEK_HOLE), size) if is_sparse(status) else size
        except OSError as error:
            if error.errno == errno.ENXIO:  # no data any more
                return
            if error.errno != errno.EINVAL:
                raise source_error(error, path) from error
            start, end = end, size  # the file system does not say
        if start < size:
            yield start, end


def read_block(source: int, view: memoryview, offset: int, path: str) -> int:
    """Read into a buffer; raise `SourceChanged` if the file ends early."""
    try:
        read = os.preadv(source, [view], offset)
    except OSError as error:
        raise source_error(error, path) from error
    if not read:
        raise SourceChanged(path, "it is shorter than it was")
    return read
