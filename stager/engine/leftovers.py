"""The sweep of what killed processes left behind; what a living process works on stays."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from stager.engine.mapping import writing
from stager.engine.removal import remove
from stager.engine.source import READ_DIRECTORY
from stager.engine.staged import LOCK_NAME, is_still, take_lock
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
            found = [LOCK_NAME.fullmatch(os.fsencode(name)) for name in os.listdir(folder.fd)]  # noqa: PTH208 - a descriptor has no path
            return sum(_swept(folder.fd, lock[0], lock["name"]) for lock in found if lock)


def _swept(folder: int, lock: bytes, name: bytes) -> bool:
    try:
        with Descriptor(os.open(lock, _OPEN_LOCK, dir_fd=folder)) as opened:
            return _is_dead(folder, lock, opened.fd) and _removed(folder, lock, name)
    except OSError:  # gone; or not a lock of ours: a directory, a link, not readable
        return False


def _is_dead(folder: int, lock: bytes, opened: int) -> bool:
    return _is_ours(os.fstat(opened)) and take_lock(opened) is True and is_still(folder, lock, opened)


def _is_ours(status: os.stat_result) -> bool:
    """Tell our lock from a file that was delivered under such a name, which is read-only."""
    is_lock = stat.S_ISREG(status.st_mode) and bool(status.st_mode & stat.S_IWUSR) and not status.st_size
    return is_lock and status.st_uid == os.geteuid()


def _removed(folder: int, lock: bytes, name: bytes) -> bool:
    try:
        with suppress(FileNotFoundError):
            remove(folder, name)
        with suppress(FileNotFoundError):
            os.unlink(lock, dir_fd=folder)
    except OSError:  # somebody else's, or the disk refuses: it stays
        return False
    return True
