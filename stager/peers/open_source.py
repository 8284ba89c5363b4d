"""An open file on its way, and the checksums of what was read of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from stager.checksums import SHA256, ChecksumAlgorithm, Sums
from stager.errors import SourceChanged, source_error
from stager.file_status import unchanged

# What is read, encoded and sent at a time: base64 of a multiple of three bytes can be put together.
_BLOCK_BYTES = 3 << 18


class OpenSource:
    """An open file that is read from its beginning to its end.

    Parameters
    ----------
    descriptor
        Open for reading; neither its position nor the file's own path is used.
    name
        What the file is called in messages.
    algorithms
        Of checksums that are taken besides the SHA-256 and the Adler-32.

    Attributes
    ----------
    sums
        The checksums of what was read since the last `begin`.
    """

    def __init__(self, descriptor: int, name: str, algorithms: Sequence[ChecksumAlgorithm]) -> None:
        self.name = name
        self._descriptor = descriptor
        self._algorithms = algorithms
        self._status = os.fstat(descriptor)
        self.size_bytes = self._status.st_size
        self.begin()

    def begin(self) -> None:
        """Forget what was read."""
        self.sums = Sums(SHA256, *self._algorithms)

    def blocks(self, start: int, end: int) -> Iterator[bytes]:
        """Yield a part of it, which follows what was read before.

        Raises
        ------
        SourceChanged, StorageFault
            It became shorter, or cannot be read.
        """
        while start < end:
            block = self.read(start, min(_BLOCK_BYTES, end - start))
            self.sums.update(block)
            yield block
            start += len(block)

    def read(self, start: int, count: int) -> bytes:
        """Return so many bytes from a position on, which are in no checksum; raises as `blocks`."""
        block = b""
        while len(block) < count:  # a storage may give less than was asked for
            try:
                read = os.pread(self._descriptor, count - len(block), start + len(block))
            except OSError as error:
                raise source_error(error, self.name) from error
            if not read:
                raise SourceChanged(self.name, "it became shorter")
            block += read
        return block

    def require_unchanged(self) -> None:
        """Raise `SourceChanged` if it is not what it was at the beginning."""
        if not unchanged(self._status, os.fstat(self._descriptor)):
            raise SourceChanged(self.name, "its size or times are not what they were")
