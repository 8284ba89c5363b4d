"""What a killed process left behind is found and removed; what a living one works on is not."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from stager.engine.mapping import writing
from stager.engine.removal import remove
from stager.engine.source import READ_DIRECTORY
from stager.engine.staged import LOCK_SUFFIX, is_still, take_lock
from stager.paths import RESERVED_PREFIX, Descriptor, Location, Symlinks, open_location

_OPEN_LOCK = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK


def sweep(parent: Location) -> int:
    """Remove the dead leftovers in one folder, and return how many there were.

    A leftover is dead when nobody holds the lock beside it, or there is no
    lock: the lock is made first and removed last. Locks are the kernel's
    (flock(2)), so they hold across processes, containers and, on NFS and
    CephFS, machines.

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
    with writing(parent.display):
        try:
            folder = open_location(parent, READ_DIRECTORY, Symlinks.REFUSED)
        except FileNotFoundError:
            return 0
        with folder:
            names = {os.fsencode(name).removesuffix(LOCK_SUFFIX) for name in os.listdir(folder.fd)}  # noqa: PTH208 - a descriptor has no path
            return sum(_swept(folder.fd, name) for name in names if name.startswith(RESERVED_PREFIX))


def _swept(folder: int, name: bytes) -> bool:
    lock = name + LOCK_SUFFIX
    try:
        with Descriptor(os.open(lock, _OPEN_LOCK, dir_fd=folder)) as opened:
            return _is_dead(folder, lock, opened.fd) and _removed(folder, name)
    except FileNotFoundError:
        return _removed(folder, name)
    except OSError:  # not a lock of ours: a directory, a link, not readable
        return False


def _is_dead(folder: int, lock: bytes, opened: int) -> bool:
    status = os.fstat(opened)
    is_ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
    return is_ours and take_lock(opened) is True and is_still(folder, lock, opened)


def _removed(folder: int, name: bytes) -> bool:
    try:
        with suppress(FileNotFoundError):
            remove(folder, name)
        with suppress(FileNotFoundError):
            os.unlink(name + LOCK_SUFFIX, dir_fd=folder)
    except OSError:  # somebody else's, or the disk refuses: it stays
        return False
    return True
