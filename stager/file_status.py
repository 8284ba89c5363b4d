"""What a file's status says of its content."""

from __future__ import annotations

import os


def unchanged(before: os.stat_result, after: os.stat_result) -> bool:
    """Tell whether two statuses of a file stand for the same content: atime does not count."""
    return _what_counts(before) == _what_counts(after)


def _what_counts(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
