"""Open directories of an area, and the making of those that are missing."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from stager.paths.beneath import Symlinks, open_beneath
from stager.paths.location import Location

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_PARENT_MODE = 0o755  # the process's umask applies
_WRITABLE_TO_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_UNFINISHED = stat.S_ISVTX  # means nothing where only the owner may write: nobody else sets it so


class Descriptor:
    """A file descriptor that closes when it is left, or when nobody holds it any more.

    The second matters where an exception may come at any instruction (a
    signal's), and where a thread still works with it.
    """

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def close(self) -> None:
        """Close it; a second time does nothing."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        with suppress(OSError, AttributeError):
            self.close()


def open_area(root: Path) -> Descriptor:
    """Open an area's root. It is the operator's: links on the way to it are followed."""
    return Descriptor(os.open(root, os.O_PATH | os.O_DIRECTORY))


def open_location(location: Location, flags: int, symlinks: Symlinks) -> Descriptor:
    """Open what is at a place, confined to its area; raises OSError as `open_beneath` does."""
    with open_area(location.root) as area:
        return Descriptor(open_beneath(area.fd, location.parts, flags, symlinks))


def make_directories(location: Location, *, uid: int, gid: int, made: list[Location]) -> Descriptor:
    """Open a directory for reading; make it and its parents where they are missing.

    No symbolic link is followed on the way.

    Parameters
    ----------
    uid, gid
        Who owns what is made; -1 leaves the running user.
    made
        Gets the place of each directory made, outermost first, just before
        it is made, so that whatever interrupts us can remove them.

    Raises
    ------
    OSError
        As mkdir(2) and open(2); ELOOP for a symbolic link on the way.
    """
    with suppress(FileNotFoundError):
        return _finished(open_location(location, _DIRECTORY, Symlinks.REFUSED), uid, gid)
    current = open_area(location.root)
    for depth in range(1, len(location.parts) + 1):
        with current:
            current = _enter(current.fd, Location(location.root, location.parts[:depth]), uid=uid, gid=gid, made=made)
    return current


def _enter(directory: int, place: Location, *, uid: int, gid: int, made: list[Location]) -> Descriptor:
    with suppress(FileNotFoundError):
        return _finished(Descriptor(open_beneath(directory, (place.name,), _DIRECTORY, Symlinks.REFUSED)), uid, gid)
    made.append(place)
    try:
        os.mkdir(place.name, _PARENT_MODE | _UNFINISHED, dir_fd=directory)
    except FileExistsError:
        made.pop()
    return _finished(Descriptor(open_beneath(directory, (place.name,), _DIRECTORY, Symlinks.REFUSED)), uid, gid)


def _finished(directory: Descriptor, uid: int, gid: int) -> Descriptor:
    """Give a directory that was just made its owner, also when who made it was killed before that.

    It must be empty and ours: it may have been exchanged since it was made.
    """
    status = os.fstat(directory.fd)
    is_unfinished = status.st_mode & (_UNFINISHED | _WRITABLE_TO_OTHERS) == _UNFINISHED
    if is_unfinished and status.st_uid in (os.geteuid(), uid) and _is_empty(directory.fd):
        os.fchown(directory.fd, uid, gid)
        os.fchmod(directory.fd, stat.S_IMODE(status.st_mode) & ~_UNFINISHED)
    return directory


def _is_empty(directory: int) -> bool:
    return not os.listdir(directory)
