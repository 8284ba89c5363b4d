"""System calls that Python does not have."""

from __future__ import annotations

import ctypes
import errno
import os

_libc = ctypes.CDLL(None, use_errno=True)
# Some C libraries lack these calls: then the callers' fallbacks are used.
_renameat2 = getattr(_libc, "renameat2", None)
_sync_file_range = getattr(_libc, "sync_file_range", None)
_SYNC_FILE_RANGE_WRITE = 2


def rename_noreplace(directory: int, old: bytes, new: bytes) -> None:
    """Rename within a directory; EEXIST where the new name is taken, EINVAL where the file system cannot."""
    _rename(directory, old, new, flags=1)


def rename_exchange(directory: int, old: bytes, new: bytes) -> None:
    """Exchange two names of a directory at once; EINVAL where the file system cannot."""
    _rename(directory, old, new, flags=2)


def _rename(directory: int, old: bytes, new: bytes, *, flags: int) -> None:
    if _renameat2 is None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    if _renameat2(directory, old, directory, new, ctypes.c_uint(flags)):
        _fail(new)


def syncfs(descriptor: int) -> None:
    """Write a whole file system's data and metadata to its disk, syncfs(2)."""
    if _libc.syncfs(descriptor):
        _fail(None)


def start_writeback(descriptor: int, offset: int, size_bytes: int) -> None:
    """Let the disk begin to write a range of bytes, sync_file_range(2).

    Nothing is durable by it. What fails here fails again, and is told, at fsync(2).
    """
    if _sync_file_range:
        run = ctypes.c_int64(offset), ctypes.c_int64(size_bytes)
        _sync_file_range(descriptor, *run, ctypes.c_uint(_SYNC_FILE_RANGE_WRITE))


def _fail(path: bytes | None) -> None:
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number), path)
