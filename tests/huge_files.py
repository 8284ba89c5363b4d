"""Files larger than any test could write."""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

_FICLONERANGE = 0x4020940D  # ioctl_ficlonerange(2)
GIB = 1 << 30


def make_huge_file(path: Path, size_bytes: int) -> None:
    """Make a file that is no hole anywhere, out of one block that it shares with itself; XFS and Btrfs can."""
    with path.open("w+b") as file:
        file.write(os.urandom(1 << 20))
        file.flush()
        done = 1 << 20
        while done < size_bytes:
            more = min(done, size_bytes - done)
            fcntl.ioctl(file, _FICLONERANGE, struct.pack("=qQQQ", file.fileno(), 0, more, done))
            done += more
