"""Removal by descriptors: it follows no link, and touches nothing of another account."""

from __future__ import annotations

import errno
import os
import stat

from stager.engine.source import READ_DIRECTORY, inode
from stager.engine.walk import MAX_DEPTH


def remove(directory: int, name: bytes) -> None:
    """Remove a name in an open directory, with all that is in it.

    Raises
    ------
    OSError
        EPERM: something belongs to somebody else (what came before it in the
        walk is gone). ENOENT: nothing has the name.
    """
    _remove(directory, name, depth=0)


def refuse_irremovable(directory: int, name: bytes) -> None:
    """Raise OSError as `remove` would, without removing anything."""
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    _refuse_foreign(status, name)
    if stat.S_ISDIR(status.st_mode):
        inner = os.open(name, READ_DIRECTORY, dir_fd=directory)
        try:
            for entry in os.listdir(inner):  # noqa: PTH208 - a descriptor has no path
                refuse_irremovable(inner, os.fsencode(entry))
        finally:
            os.close(inner)


def _remove(directory: int, name: bytes, *, depth: int) -> None:
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    _refuse_foreign(status, name)
    if not stat.S_ISDIR(status.st_mode):
        os.unlink(name, dir_fd=directory)
        return
    if depth > MAX_DEPTH + 1:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), name)
    inner = os.open(name, READ_DIRECTORY, dir_fd=directory)
    try:
        _empty(inner, status, depth=depth)
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=directory)


def _empty(directory: int, expected: os.stat_result, *, depth: int) -> None:
    status = os.fstat(directory)
    if inode(status) != inode(expected):
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
    if status.st_mode & stat.S_IRWXU != stat.S_IRWXU:
        os.fchmod(directory, stat.S_IRWXU)
    for entry in os.listdir(directory):
        _remove(directory, os.fsencode(entry), depth=depth + 1)


def _refuse_foreign(status: os.stat_result, name: bytes) -> None:
    if status.st_uid != os.geteuid():
        raise OSError(errno.EPERM, f"it belongs to uid {status.st_uid}", name)
