"""The sweep of what killed processes left behind; what a living process works on stays."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress

from stager.engine.mapping import writing
from stager.engine.removal import remove
from stager.engine.source import READ_DIRECTORY
from stager.engine.staging_folder import LOCK_NAME, LOCK_SUFFIX, TEMPORARY_NAME, is_still, take_lock
from stager.paths import Descriptor, Location, Symlinks, open_location

_OPEN_LOCK = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK


def sweep(parent: Location) -> int:
    """Remove the dead leftovers in one folder, and return how many there were.

    A leftover is ours when a lock of ours is beside it, and dead when nobody
    holds that. The lock is made first and removed last: what has none is
    not ours, whatever its name. Locks are the kernel's (flock(2)), so they
    hold across processes, containers and, on NFS and CephFS, machines;
    where there are none, nothing is removed.

    Parameters
    ----------
    parent
        The folder that destinations are in; it need not exist.
        A leftover with anything of another account's in it stays.

    Raises
    ------
    DestinationNotWritable, StorageFault
        The folder itself cannot be read.
    """
    with writing(parent):
        try:
            folder = open_location(parent, READ_DIRECTORY, Symlinks.REFUSED)
        except FileNotFoundError:
            return 0
        with folder:
            return sum(_swept(folder.fd, lock) for lock in _names(folder.fd) if LOCK_NAME.fullmatch(lock))


def _names(folder: int) -> Iterator[bytes]:
    return map(os.fsencode, os.listdir(folder))


def _swept(folder: int, lock: bytes) -> int:
    try:
        with Descriptor(os.open(lock, _OPEN_LOCK, dir_fd=folder)) as opened:
            return _removed(folder, lock) if _is_dead(folder, lock, opened.fd) else 0
    except OSError:  # gone; or not a lock of ours: a directory, a link, not readable
        return 0


def _is_dead(folder: int, lock: bytes, opened: int) -> bool:
    return _is_ours(os.fstat(opened)) and take_lock(opened) is True and is_still(folder, lock, opened)


def _is_ours(status: os.stat_result) -> bool:
    """Tell our lock from a file that was delivered under such a name, which is read-only."""
    is_lock = stat.S_ISREG(status.st_mode) and bool(status.st_mode & stat.S_IWUSR) and not status.st_size
    return is_lock and status.st_uid == os.geteuid()


def _removed(folder: int, lock: bytes) -> int:
    """Remove what a lock that we hold now was of, the lock last, and return how many names that was; at least one."""
    locked, removed = lock.removesuffix(LOCK_SUFFIX), 0
    try:
        for name in _names(folder):
            temporary = TEMPORARY_NAME.fullmatch(name)
            if temporary and temporary["locked"] == locked:
                with suppress(FileNotFoundError):
                    remove(folder, name)
                    removed += 1
        with suppress(FileNotFoundError):
            os.unlink(lock, dir_fd=folder)
    except OSError:  # somebody else's, or the disk refuses: it stays
        return removed
    return max(removed, 1)
