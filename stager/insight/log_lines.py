"""Lines of the log file: all, the last ones, those that match, and new ones as they come."""

from __future__ import annotations

import asyncio
import json
import os
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from starlette.concurrency import iterate_in_threadpool

LEVELS = ("debug", "info", "warning", "error", "critical")
# How much is read and sent at a time, in bytes.
BLOCK_BYTES = 256 * 1024
# How often the file is polled for new lines, in seconds.
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class LineFilter:
    """Which lines are wanted."""

    contains: str | None = None
    level: str | None = None

    @property
    def takes_all(self) -> bool:
        """Whether no line is left out."""
        return self.contains is None and self.level is None

    def takes(self, line: bytes) -> bool:
        """Return whether a line is wanted."""
        if self.contains is not None and self.contains.encode("utf-8", "surrogatepass") not in line:
            return False
        return self.level is None or _rank(_level(line)) >= _rank(self.level)


async def log_blocks(
    file: BinaryIO, path: Path, *, lines: int | None, wanted: LineFilter, follow: bool
) -> AsyncIterator[bytes]:
    """Yield the log's wanted lines in blocks, and close the file at the end.

    Parameters
    ----------
    file
        The log file, open at its beginning.
    path
        Where the log is written: when it is turned over, a new file is there.
    lines
        How many of the last wanted lines; none for all of them.
    follow
        Go on with what is written from now on, until nobody asks for more.
    """
    try:
        async for block in iterate_in_threadpool(_blocks(_last(file, lines=lines, wanted=wanted))):
            yield block
        while follow:
            if block := await asyncio.to_thread(_new, file, wanted):
                yield block
            elif await asyncio.to_thread(_is_turned_over, file, path):
                file.close()
                file = await asyncio.to_thread(path.open, "rb")
            else:
                await asyncio.sleep(POLL_SECONDS)
    finally:
        file.close()


def _last(file: BinaryIO, *, lines: int | None, wanted: LineFilter) -> Iterable[bytes]:
    if lines is not None and wanted.takes_all:
        file.seek(_start_of_last(file, lines=lines))
    found = (line for line in _whole_lines(file) if wanted.takes(line))
    return found if lines is None else deque(found, maxlen=lines)


def _blocks(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines in blocks of a size that is worth sending."""
    piece = bytearray()
    for line in lines:
        piece += line
        if len(piece) >= BLOCK_BYTES:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)


def _new(file: BinaryIO, wanted: LineFilter) -> bytes:
    return b"".join(line for line in _whole_lines(file) if wanted.takes(line))


def _whole_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield lines up to the last complete one, and leave the file's position there."""
    while line := file.readline():
        if not line.endswith(b"\n"):
            file.seek(-len(line), os.SEEK_CUR)
            return
        yield line


def _is_turned_over(file: BinaryIO, path: Path) -> bool:
    try:
        return path.stat().st_ino != os.fstat(file.fileno()).st_ino
    except FileNotFoundError:  # at this very moment
        return False


def _start_of_last(file: BinaryIO, *, lines: int) -> int:
    """Return the position at which the last lines begin, reading backwards block by block."""
    missing = lines + 1  # the newline before them, too: the file ends with one
    position = os.fstat(file.fileno()).st_size
    while position > 0:
        size = min(BLOCK_BYTES, position)
        position -= size
        block = os.pread(file.fileno(), size, position)
        found = block.count(b"\n")
        if found >= missing:
            return position + _nth_last_newline(block, missing) + 1
        missing -= found
    return 0


def _nth_last_newline(block: bytes, count: int) -> int:
    place = len(block)
    for _ in range(count):
        place = block.rindex(b"\n", 0, place)
    return place


def _level(line: bytes) -> str:
    try:
        return str(json.loads(line)["level"])
    except (ValueError, KeyError, TypeError):
        return LEVELS[0]


def _rank(level: str) -> int:
    return LEVELS.index(level) if level in LEVELS else 0
