"""The sweep of what killed processes left behind; what a living process works on stays."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, suppress

from stager.engine.mapping import writing
from stager.engine.removal import remove
from stager.engine.source import READ_DIRECTORY
from stager.engine.staging_folder import LOCK_NAME, is_still, lock_of, take_lock
from stager.paths import Descriptor, Location, Symlinks, open_location

_OPEN_LOCK = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK
# Each has a descriptor; the folder is listed once for so many.
_LOCKS_AT_ONCE = 256


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
            locks = [name for name in _names(folder.fd) if LOCK_NAME.fullmatch(name)]
            pieces = (locks[start : start + _LOCKS_AT_ONCE] for start in range(0, len(locks), _LOCKS_AT_ONCE))
            return sum(_swept(folder.fd, some) for some in pieces)


def _names(folder: int) -> Iterator[bytes]:
    return map(os.fsencode, os.listdir(folder))


def _swept(folder: int, locks: Sequence[bytes]) -> int:
    """Remove what is of the dead ones among some locks, and return how many leftovers that was."""
    with ExitStack() as held:
        dead = {lock for lock in locks if _is_taken(folder, lock, held)}
        # Only now: before its lock was ours, its owner may have made more.
        left = _leftovers_of(dead, folder) if dead else {}
        return sum(_removed(folder, lock, left[lock]) for lock in dead)


def _is_taken(folder: int, lock: bytes, held: ExitStack) -> bool:
    """Take a lock, if it is one of ours whose owner is dead; it is held until the end of the block."""
    try:
        opened = held.enter_context(Descriptor(os.open(lock, _OPEN_LOCK, dir_fd=folder)))
        return _is_dead(folder, lock, opened.fd)
    except OSError:  # gone; or not a lock of ours: a directory, a link, not readable
        return False


def _leftovers_of(locks: Collection[bytes], folder: int) -> dict[bytes, list[bytes]]:
    left: dict[bytes, list[bytes]] = {lock: [] for lock in locks}
    for name in _names(folder):
        if (lock := lock_of(name)) in left:
            left[lock].append(name)
    return left


def _is_dead(folder: int, lock: bytes, opened: int) -> bool:
    return _is_ours(os.fstat(opened)) and take_lock(opened) is True and is_still(folder, lock, opened)


def _is_ours(status: os.stat_result) -> bool:
    """Tell our lock from a file that was delivered under such a name, which is read-only."""
    is_lock = stat.S_ISREG(status.st_mode) and bool(status.st_mode & stat.S_IWUSR) and not status.st_size
    return is_lock and status.st_uid == os.geteuid()


def _removed(folder: int, lock: bytes, names: Sequence[bytes]) -> int:
    """Remove what a lock that we hold now was of, the lock last, and return how many names that was; at least one.

    What cannot be removed stays, and the lock with it: it is somebody else's, or the disk refuses.
    """
    stays = 0
    for name in names:
        try:
            remove(folder, name)
        except FileNotFoundError:
            """Somebody else has removed it."""
        except OSError:
            stays += 1
    if stays:
        return len(names) - stays
    with suppress(OSError):
        os.unlink(lock, dir_fd=folder)
    return max(len(names), 1)
