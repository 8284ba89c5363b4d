"""The status of some names of a directory, by stat(2)."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

_ALLOCATION_UNIT = 512  # stat(2), st_blocks

# Facts, size in bytes, bytes allocated.
Seen = tuple[str, int, int]


def facts(status: os.stat_result) -> str:
    """Return, as text, what changes when a file does: mode, size, mtime, ctime, inode."""
    return f"{status.st_mode:o} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"


def allocated_bytes(status: os.stat_result) -> int:
    """Return the bytes that a file occupies on the disk."""
    allocated = status.st_blocks * _ALLOCATION_UNIT
    return min(allocated, status.st_size)


def look(directory: int, names: Sequence[str]) -> list[Seen | None]:
    """Return the facts of each name; None for what is not a regular file, or cannot be looked at."""
    seen: list[Seen | None] = []
    for name in names:
        try:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except OSError:
            seen.append(None)
            continue
        is_file = stat.S_ISREG(status.st_mode)
        seen.append((facts(status), status.st_size, allocated_bytes(status)) if is_file else None)
    return seen
