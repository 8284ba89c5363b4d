"""What stat(2) says of some names of a directory."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

_ALLOCATION_UNIT = 512  # stat(2), st_blocks

# Facts, size in bytes, bytes allocated.
Seen = tuple[str, int, int]


def facts(status: os.stat_result) -> str:
    """Return what changes when a file does, as text: mode, size, mtime, ctime, inode."""
    return f"{status.st_mode:o} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"


def allocated_bytes(status: os.stat_result) -> int:
    """Return what a file takes without its holes, in bytes."""
    allocated = status.st_blocks * _ALLOCATION_UNIT
    return min(allocated, status.st_size)


def look(directory: int, names: Sequence[str]) -> list[Seen | None]:
    """Return for each name what is there, None for what is no regular file or cannot be looked at."""
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
