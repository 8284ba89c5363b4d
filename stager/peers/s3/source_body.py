"""A stretch of an open file as the content of a call, which is read as it is sent."""

from __future__ import annotations

import os

from stager.peers.connections import check_on
from stager.peers.open_source import OpenSource


class SourceBody:
    """What boto and urllib3 want of a file: nothing is held but what is on its way.

    Where a thread's waiting is checked, so is each reading: what that raises ends the call.
    """

    def __init__(self, source: OpenSource, start: int, end: int) -> None:
        self._source = source
        self._start = start
        self._end = end
        self._position = start

    def __len__(self) -> int:
        return self._end - self._start

    def read(self, count: int = -1) -> bytes:
        """Return what comes next; raises as `OpenSource.blocks`."""
        check_on()
        left = self._end - self._position
        read = self._source.read(self._position, left if count < 0 else min(count, left))
        self._position += len(read)
        return read

    def tell(self) -> int:
        """Return how much was read."""
        return self._position - self._start

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Read from somewhere else on."""
        base = {os.SEEK_SET: self._start, os.SEEK_CUR: self._position, os.SEEK_END: self._end}[whence]
        self._position = base + offset
        return self.tell()
