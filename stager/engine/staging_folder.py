"""The folders of destinations, each open once, with one lock for all that a process stages there at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import re
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from weakref import WeakValueDictionary

from stager.engine.source import Inode, inode
from stager.errors import DestinationBusy
from stager.paths import RESERVED_PREFIX, Descriptor, Location, Symlinks, make_directories, open_location

# Locks of versions before this one are each of one name, and their sweeps know no other: they leave these alone.
LOCK_SUFFIX, FORMER_LOCK_SUFFIX = b".names-lock", b".lock"
_BEGINNING = re.escape(RESERVED_PREFIX) + b"[0-9a-f]{16}"
LOCK_NAME = re.compile(_BEGINNING + b"(?:%b|%b)" % (re.escape(LOCK_SUFFIX), re.escape(FORMER_LOCK_SUFFIX)))
_TEMPORARY_NAME = re.compile(b"(?P<beginning>%b)(?P<rest>-[0-9a-f]{16})?" % _BEGINNING)
_TRIES = 16  # a sweep takes a name now and then, who takes them all means it
_CREATE_LOCK = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
# A file system without locks cannot show that an owner is dead: its leftovers stay.
_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL})
_LEADS_ELSEWHERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV})


class StagingFolder:
    """An open folder, and the temporary names in it, whose lock shows that their owner is alive.

    The lock is there before the first of the names, and goes after the last:
    with `give_back`, or when nobody refers to the folder any more.
    """

    def __init__(self, opened: Descriptor) -> None:
        self.opened = opened
        self.lock = Descriptor(-1)
        self._beginning = b""
        self._is_locked = False
        self._names: set[bytes] = set()
        self._is_kept = False

    @cached_property
    def inode(self) -> Inode:
        """What it is, while it is open."""
        return inode(os.fstat(self.opened.fd))

    def take_name(self, destination: Location) -> bytes:
        """Return a new temporary name for what goes to a destination.

        Raises
        ------
        DestinationBusy
            Others took the lock of each name that was tried.
        OSError
            As open(2) and flock(2).
        """
        if not self._is_locked and not any(self._take_lock() for _ in range(_TRIES)):
            raise DestinationBusy(destination.display, f"others took the lock of each of {_TRIES} temporary names")
        name = b"%b-%b" % (self._beginning, _chance())  # nobody who sees the lock can take it first
        self._names.add(name)
        return name

    def _take_lock(self) -> bool:
        """Create and take a lock; return False where a sweep, or another process, was quicker."""
        self._beginning = RESERVED_PREFIX + _chance()
        name = self._beginning + LOCK_SUFFIX
        self.lock = Descriptor(os.open(name, _CREATE_LOCK, 0o600, dir_fd=self.opened.fd))
        if take_lock(self.lock.fd) is not False and is_still(self.opened.fd, name, self.lock.fd):
            self._is_locked = True
            return True
        self._beginning = b""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.opened.fd)
        return False

    def is_at(self, location: Location) -> bool:
        """Return whether a path still leads here: whoever owns the folder may have moved or removed it.

        Raises
        ------
        OSError
            The path cannot be looked at, as openat2(2).
        """
        if self.opened.fd < 0:
            return False
        try:
            with open_location(location, os.O_PATH | os.O_DIRECTORY, Symlinks.REFUSED) as found:
                return inode(os.fstat(found.fd)) == self.inode
        except OSError as error:
            if error.errno in _LEADS_ELSEWHERE:
                return False
            raise

    def give_back(self, name: bytes) -> None:
        """Give a temporary name back; with the last one, the lock goes, and the folder is closed.

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
        if self._beginning and self.opened.fd >= 0 and not (self._is_kept or any(map(self._is_in_use, self._names))):
            with suppress(OSError):
                os.unlink(self._beginning + LOCK_SUFFIX, dir_fd=self.opened.fd)
        self.lock.close()
        self.opened.close()

    def __del__(self) -> None:
        with suppress(OSError, AttributeError, TypeError):  # at the interpreter's end
            self.close()


# What nothing is staged in: before a folder is open, and after all is closed.
NOWHERE = StagingFolder(Descriptor(-1))
# The folders in which something is staged now, by root, names beneath it, and the root's descriptor where it is held.
_open_folders: WeakValueDictionary[tuple[Path, tuple[bytes, ...], int | None], StagingFolder] = WeakValueDictionary()


def folder_for(destination: Location, *, mode: int, made: list[Location]) -> StagingFolder:
    """Return the folder of a destination: the one in which this process stages already, or else opened now.

    What is missing on the way is made; parameters and errors as `make_directories`.
    """
    held = destination.held.fd if destination.held is not None else None
    key = destination.root, destination.parts[:-1], held
    folder = _open_folders.get(key)
    if folder is None or not folder.is_at(destination.parent):
        folder = StagingFolder(make_directories(destination.parent, mode=mode, made=made))
        _open_folders[key] = folder
    return folder


def lock_of(name: bytes) -> bytes | None:
    """Return the name of the lock that a temporary name is of; None where it is no such name."""
    found = _TEMPORARY_NAME.fullmatch(name)
    return found and found["beginning"] + (LOCK_SUFFIX if found["rest"] else FORMER_LOCK_SUFFIX)


def _chance() -> bytes:
    return os.urandom(8).hex().encode()


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
