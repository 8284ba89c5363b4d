"""The folders of destinations, each open once, with one lock for all that a process stages there at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import re
from contextlib import suppress
from weakref import WeakValueDictionary

from stager.engine.source import inode
from stager.errors import DestinationBusy
from stager.paths import RESERVED_PREFIX, Descriptor, Location, make_directories

LOCK_SUFFIX = b".lock"
# A lock's name without the suffix is the first temporary name; the others have a number besides.
_LOCKED = b"(?P<locked>%b[0-9a-f]{16})" % re.escape(RESERVED_PREFIX)
LOCK_NAME = re.compile(_LOCKED + re.escape(LOCK_SUFFIX))
TEMPORARY_NAME = re.compile(_LOCKED + b"(?:-[0-9]+)?")
_TRIES = 16  # a sweep takes a name now and then, who takes them all means it
_CREATE_LOCK = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
# A file system without locks cannot show that an owner is dead: its leftovers stay.
_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL})


class StagingFolder:
    """An open folder, and the temporary names in it, whose lock shows that their owner is alive.

    The lock is there before the first of the names, and goes after the last:
    with `give_back`, or when nobody refers to the folder any more.
    """

    def __init__(self, opened: Descriptor) -> None:
        self.opened = opened
        self.lock = Descriptor(-1)
        self._locked = b""
        self._taken = 0
        self._names: set[bytes] = set()
        self._is_kept = False

    def take_name(self, destination: Location) -> bytes:
        """Return a new temporary name for what goes to a destination.

        Raises
        ------
        DestinationBusy
            Others took the lock of each name that was tried.
        OSError
            As open(2) and flock(2).
        """
        if not self._locked and not any(self._take_lock() for _ in range(_TRIES)):
            raise DestinationBusy(destination.display, f"others took the lock of each of {_TRIES} temporary names")
        name = b"%b-%d" % (self._locked, self._taken) if self._taken else self._locked
        self._taken += 1
        self._names.add(name)
        return name

    def _take_lock(self) -> bool:
        """Create and take a lock; return False where a sweep, or another process, was quicker."""
        self._locked = RESERVED_PREFIX + os.urandom(8).hex().encode()
        name = self._locked + LOCK_SUFFIX
        self.lock = Descriptor(os.open(name, _CREATE_LOCK, 0o600, dir_fd=self.opened.fd))
        if take_lock(self.lock.fd) is not False and is_still(self.opened.fd, name, self.lock.fd):
            return True
        self._locked = b""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.opened.fd)
        return False

    def give_back(self, name: bytes) -> None:
        """Give a temporary name back, and with the last one the lock; a second time does nothing.

        Where something still has the name, the lock stays: it shows a sweep that this is ours.
        """
        self._is_kept |= name in self._names and self._is_in_use(name)
        self._names.discard(name)
        if not self._names:
            self.close()

    def _is_in_use(self, name: bytes) -> bool:
        try:
            self.opened.status(name)
        except OSError as error:
            return error.errno != errno.ENOENT
        return True

    def close(self) -> None:
        """Remove the lock, if nothing has a temporary name any more, and close all; repeatable."""
        if self._locked and self.opened.fd >= 0 and not (self._is_kept or any(map(self._is_in_use, self._names))):
            with suppress(OSError):
                os.unlink(self._locked + LOCK_SUFFIX, dir_fd=self.opened.fd)
        self.lock.close()
        self.opened.close()

    def __del__(self) -> None:
        with suppress(OSError, AttributeError, TypeError):  # at the interpreter's end
            self.close()


# What nothing is staged in: before a folder is open, and after all is closed.
NOWHERE = StagingFolder(Descriptor(-1))
# The folders in which something is staged now, by their paths.
_open_folders: WeakValueDictionary[tuple[object, ...], StagingFolder] = WeakValueDictionary()


def folder_for(destination: Location, *, mode: int, made: list[Location]) -> StagingFolder:
    """Return the folder of a destination: the one in which this process stages already, or else opened now.

    What is missing on the way is made; parameters and errors as `make_directories`.
    """
    held = destination.held.fd if destination.held is not None else None
    key = destination.root, destination.parts[:-1], held
    folder = _open_folders.get(key)
    if folder is None or folder.opened.fd < 0:
        folder = StagingFolder(make_directories(destination.parent, mode=mode, made=made))
        _open_folders[key] = folder
    return folder


def take_lock(descriptor: int) -> bool | None:
    """Return True for a lock taken, False when another holds it, None where there are no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        raise
    return True


def is_still(directory: int, name: bytes, descriptor: int) -> bool:
    """Tell whether a name in a directory is still that of an open file."""
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return inode(found) == inode(os.fstat(descriptor))
