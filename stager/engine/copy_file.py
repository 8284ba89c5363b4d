"""The copying of one file's content, with its checksum taken as the bytes pass."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from stager.checksums import EMPTY, Hasher, combine, update
from stager.engine.control import Control
from stager.engine.file_reading import BLOCK_BYTES, past_hole, ranges_of_data, read_block
from stager.engine.kernel import start_writeback
from stager.engine.mapping import refused
from stager.errors import CorruptedInTransfer, SourceChanged
from stager.file_status import unchanged
from stager.paths import Descriptor

_PARALLEL_BYTES = 16 * BLOCK_BYTES
_WRITEBACK_BYTES = 32 * BLOCK_BYTES


def copy_content(
    *,
    source: int,
    destination: int,
    status: os.stat_result,
    paths: tuple[str, str],
    control: Control,
    hasher: Hasher | None = None,
) -> int:
    """Copy a file of any size, holes as holes, and return its Adler-32.

    Parameters
    ----------
    source, destination
        Descriptors; the destination is empty.
    status
        What the source was when its reading began.
    paths
        The source's and the destination's, for messages.
    hasher
        Takes another checksum in the same pass: one thread copies then.

    Raises
    ------
    SourceChanged
        It is not as it was, or ended early.
    NoSpace, StorageFault, DestinationNotWritable, CorruptedInTransfer
        As the writing went.
    """
    checksum, position, size = EMPTY, 0, status.st_size
    for start, end in ranges_of_data(source, status, paths[0]):
        checksum = past_hole(checksum, start - position, hasher, control)
        control.advance(start - position)
        part = _Run(
            source=source, destination=destination, start=start, end=end, paths=paths, control=control, hasher=hasher
        )
        checksum = combine(checksum, part.copied(), end - start)
        position = end
    checksum = past_hole(checksum, size - position, hasher, control)
    control.advance(size - position)
    try:
        if position < size:
            os.ftruncate(destination, size)
        arrived = os.fstat(destination).st_size
    except OSError as error:
        raise refused(error, paths[1]) from error
    if not unchanged(status, os.fstat(source)):
        raise SourceChanged(paths[0], "its size or times have changed")
    if arrived != size:
        raise CorruptedInTransfer(paths[1], f"{arrived} bytes arrived of {size}")
    return checksum


def write_all(destination: int, view: memoryview, offset: int, path: str) -> None:
    """Write a buffer whole."""
    try:
        written = os.pwrite(destination, view, offset)
        while written < len(view):
            written += os.pwrite(destination, view[written:], offset + written)
    except OSError as error:
        raise refused(error, path) from error


class _Run:
    """A range of data, copied by two threads that each take the next block.

    Reading, checksumming and writing all release the interpreter, so two
    cores are used; one buffer each is all the memory. The disk is told to
    begin with what has arrived, so that it works while we copy. With a
    hasher, which takes the blocks in their order, there is one thread.
    """

    def __init__(
        self,
        *,
        source: int,
        destination: int,
        start: int,
        end: int,
        paths: tuple[str, str],
        control: Control,
        hasher: Hasher | None,
    ) -> None:
        self._source, self._destination = source, destination
        self._start, self._end = start, end
        self._paths, self._control, self._hasher = paths, control, hasher
        self._next = self._summed = self._reported = self._begun = start
        self._checksum = EMPTY
        self._waiting: dict[int, tuple[int, int]] = {}
        self._lock = threading.Lock()
        self._error: BaseException | None = None

    def copied(self) -> int:
        """Copy the range and return its Adler-32."""
        if self._hasher or self._end - self._start < _PARALLEL_BYTES:
            self._work(self._source, self._destination, self._report)
        else:
            self._with_a_second_thread()
        if self._error:
            raise self._error
        self._report()
        return self._checksum

    def _with_a_second_thread(self) -> None:
        # Descriptors of its own: should we be interrupted even while we wait
        # for it, it must not write through a number that means another file.
        own = Descriptor(os.dup(self._source)), Descriptor(os.dup(self._destination))
        second = threading.Thread(target=self._work_caught, args=own, name="stager-copy", daemon=True)
        try:
            second.start()
            self._work(self._source, self._destination, self._report)
        finally:
            self._next = self._end
            if second.ident is not None:
                second.join()

    def _work_caught(self, source: Descriptor, destination: Descriptor) -> None:
        try:
            self._work(source.fd, destination.fd, _silent)
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            self._error = error
            self._next = self._end

    def _work(self, source: int, destination: int, report: Callable[[], None]) -> None:
        buffer = memoryview(bytearray(min(BLOCK_BYTES, self._end - self._start)))
        while (start := self._take()) < self._end:
            block = buffer[: min(BLOCK_BYTES, self._end - start)]
            filled = 0
            while filled < len(block):
                filled += read_block(source, block[filled:], start + filled, self._paths[0])
            checksum = update(block)
            if self._hasher:
                self._hasher.update(block)
            write_all(destination, block, start, self._paths[1])
            self._put(start, checksum, len(block))
            self._write_back(destination)
            report()

    def _take(self) -> int:
        with self._lock:
            start = self._next
            self._next = min(start + BLOCK_BYTES, self._end)
            return start

    def _put(self, start: int, checksum: int, size_bytes: int) -> None:
        with self._lock:
            self._waiting[start] = checksum, size_bytes
            while self._summed in self._waiting:
                following, size = self._waiting.pop(self._summed)
                self._checksum = combine(self._checksum, following, size)
                self._summed += size

    def _write_back(self, destination: int) -> None:
        with self._lock:
            begun, size = self._begun, self._summed - self._begun
            if size < _WRITEBACK_BYTES:
                return
            self._begun = self._summed
        start_writeback(destination, begun, size)

    def _report(self) -> None:
        reported, self._reported = self._reported, self._summed
        self._control.advance(self._reported - reported)


def _silent() -> None:
    """Report nothing: the caller's callback runs in the caller's thread alone."""
