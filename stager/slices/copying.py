"""Copying of small files from one open directory into another, with their checksums."""

from __future__ import annotations

import fcntl
import os
import stat
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from stager.slices.looking import facts

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
SMALL_BYTES = 1 << 20
_FICLONE = 0x40049409  # ioctl_ficlone(2); the same number on x86-64 and arm64
_SMALLEST_HOLE = 4096

# Size in bytes, Adler-32 (None where a clone's was not asked for), facts of the copy.
Arrived = tuple[int, int | None, str]


class Unread(Exception):
    """The source could not be read; ``error`` is None where it has another size than it had."""

    def __init__(self, error: OSError | None) -> None:
        super().__init__(error)
        self.error = error
        self.path = ""


class Unwritten(Exception):
    """The destination could not be written."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error)
        self.error = error
        self.path = ""


class CopyTerms(NamedTuple):
    """How each file of a slice is copied.

    ``mode``, whether its blocks are shared with the source's, and whether
    its checksum is taken: always, but for shared blocks of a known one.
    """

    mode: int
    is_cloned: bool
    is_summed: bool


def is_sparse(status: os.stat_result) -> bool:
    """Tell whether a file has holes that are worth keeping: of a page or more."""
    return status.st_blocks * 512 < status.st_size > _SMALLEST_HOLE


def clone(destination: int, source: int) -> None:
    """Let one file share the other's blocks until one of them is written, ioctl_ficlone(2)."""
    fcntl.ioctl(destination, _FICLONE, source)


def copy_file(source: int, destination: int, name: str, terms: CopyTerms) -> Arrived | None:
    """Copy a file if it is small, not sparse, has one name and can be cloned if it is to be; else return None.

    Nothing is left then.

    Raises
    ------
    Unread, Unwritten
        Something of it may be at the destination.
    """
    try:
        from_fd = os.open(name, READ, dir_fd=source)
    except OSError as error:
        raise Unread(error) from error
    try:
        status = os.fstat(from_fd)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1 or status.st_size > SMALL_BYTES or is_sparse(status):
            return None
        try:
            to_fd = os.open(name, CREATE, terms.mode, dir_fd=destination)
        except OSError as error:
            raise Unwritten(error) from error
        try:
            arrived = _fill(from_fd, to_fd, status, terms)
        finally:
            os.close(to_fd)
    finally:
        os.close(from_fd)
    if arrived is None:
        remove_if_there(destination, name)
    return arrived


def _fill(source: int, destination: int, status: os.stat_result, terms: CopyTerms) -> Arrived | None:
    size, checksum = status.st_size, None
    if terms.is_cloned:
        try:
            clone(destination, source)
        except OSError:
            return None
    if terms.is_summed:
        checksum = copy_small(source, None if terms.is_cloned else destination, size)
    arrived = settle(destination, status, terms)
    return (size, checksum, facts(arrived)) if arrived.st_size == size else None


def copy_small(source: int, destination: int | None, size_bytes: int) -> int:
    """Copy what is read in one call and return its checksum; without a destination only read it.

    Raises
    ------
    Unread
        Also when the source has another size.
    """
    try:
        data = os.read(source, size_bytes + 1)
    except OSError as error:
        raise Unread(error) from error
    if len(data) != size_bytes:
        raise Unread(None)
    try:
        written = 0 if data and destination is not None else size_bytes
        while written < size_bytes:
            written += os.pwrite(destination or 0, data[written:] if written else data, written)
    except OSError as error:
        raise Unwritten(error) from error
    return zlib.adler32(data)


def settle(destination: int, status: os.stat_result, terms: CopyTerms) -> os.stat_result:
    """Give an open copy its mode and times, and return its status.

    Raises
    ------
    Unwritten
        As the file system says.
    """
    try:
        os.utime(destination, ns=(status.st_atime_ns, status.st_mtime_ns))
        arrived = os.fstat(destination)
        if set_mode(destination, arrived, terms.mode):  # the process's umask
            arrived = os.fstat(destination)
    except OSError as error:
        raise Unwritten(error) from error
    return arrived


def set_mode(opened: int, status: os.stat_result, mode: int) -> bool:
    """Set the permission bits of a file or directory, and return whether it had others.

    A directory keeps the set-group-ID bit that it has from its folder: what comes into it later gets that folder's
    group, too.
    """
    if stat.S_ISDIR(status.st_mode):
        mode |= status.st_mode & stat.S_ISGID
    is_other = stat.S_IMODE(status.st_mode) != mode
    if is_other:
        os.fchmod(opened, mode)
    return is_other


def copy_what_it_can(source: int, destination: int, names: Sequence[str], terms: CopyTerms) -> list[Arrived | None]:
    """Copy some names, and return for each what arrived; None where nothing did."""
    return [_copied_or_nothing(source, destination, name, terms) for name in names]


def _copied_or_nothing(source: int, destination: int, name: str, terms: CopyTerms) -> Arrived | None:
    try:
        return copy_file(source, destination, name, terms)
    except (Unread, Unwritten):
        remove_if_there(destination, name)
        return None


def remove_if_there(destination: int, name: str) -> None:
    """Remove a file that did not arrive whole."""
    try:
        os.unlink(name, dir_fd=destination)
    except OSError:
        """It is not there; or it stays, and whoever makes it anew is told so."""
