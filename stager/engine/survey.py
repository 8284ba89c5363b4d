"""What is at a place, by stat(2) alone: how much, and a fingerprint that any change changes."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from stager.engine.links import refuse_leading_out
from stager.engine.mapping import refused, unread, writing
from stager.engine.source import READ_DIRECTORY, Source, opened, refuse_special
from stager.errors import InvalidPath, StagingError
from stager.paths import Location, Symlinks, open_location

MAX_DEPTH = 256  # a walk holds two descriptors a level
_ALLOCATION_UNIT = 512  # stat(2), st_blocks

# What is done with each thing met: directory, name, status, path -> status.
OnEntry = Callable[[int, str, os.stat_result, str], os.stat_result]


@dataclass(frozen=True, slots=True)
class Survey:
    """What a source is.

    ``fingerprint`` is the SHA-256 of one line for each thing in the product,
    in the walk's order, the product itself last: path, mode, size, mtime,
    ctime, inode, a link's text. ``allocated_bytes`` leaves out the holes of
    sparse files.
    """

    kind: Literal["file", "directory"]
    size_bytes: int
    file_count: int
    fingerprint: str
    allocated_bytes: int


def survey(source: Location, *, depth: int | None = None) -> Survey:
    """Return what is at a source, having read none of it.

    Memory is that of one directory's names for each level.

    Parameters
    ----------
    source
        Where it is; symbolic links are followed while they stay in the area.
    depth
        0 looks at the source alone, not at what is under a directory.

    Raises
    ------
    SourceNotFound, SourceUnreadable, PathOutsideArea
        As its path says.
    UnsupportedFileType, SymlinkLeadsOut
        Something in it cannot be staged; named.
    SourceChanged
        Something in it vanished meanwhile.
    """
    with opened(source) as found:
        return survey_opened(found, depth=depth)


def survey_opened(source: Source, *, depth: int | None = None) -> Survey:
    """Return what `survey` does, of a source that is open."""
    walk = Fingerprint(source.display, failed=unread, on_entry=_refusing(source))
    if source.is_directory and depth != 0:
        walk.add_directory(source.content.fd, "")
    status = os.fstat(source.content.fd)
    if not source.is_directory:
        walk.count(status)
    return Survey(
        kind="directory" if source.is_directory else "file",
        size_bytes=walk.size_bytes,
        file_count=walk.file_count,
        fingerprint=walk.closed_with(status),
        allocated_bytes=walk.allocated_bytes,
    )


def fingerprint(destination: Location) -> str | None:
    """Return the fingerprint of what is at a destination, None where nothing is.

    It never follows a link and takes whatever it finds. It equals the one
    that `publish` returned as long as nothing there was changed.
    """
    with writing(destination.display):
        try:
            parent = open_location(destination.parent, os.O_PATH | os.O_DIRECTORY, Symlinks.REFUSED)
        except FileNotFoundError:
            return None
        with parent:
            return fingerprint_at(parent.fd, destination.name, destination.display)


def fingerprint_at(parent: int, name: bytes, display: str) -> str | None:
    """Return what `fingerprint` does, of a name in an open directory."""
    walk = Fingerprint(display, failed=refused)
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISDIR(status.st_mode):
        return walk.closed_with(status, os.readlink(name, dir_fd=parent) if stat.S_ISLNK(status.st_mode) else b"")
    directory = os.open(name, READ_DIRECTORY, dir_fd=parent)
    try:
        walk.add_directory(directory, "")
        return walk.closed_with(os.fstat(directory))
    finally:
        os.close(directory)


class Fingerprint:
    """A hash over a walk, and the sums that come with it.

    Parameters
    ----------
    display
        The product's path, for messages.
    failed
        Makes the error of a system call that failed.
    on_entry
        Called for whatever is not a directory; may raise, change it and
        return its new status.
    on_directory
        Called with each open directory after what is in it.
    """

    def __init__(
        self,
        display: str,
        *,
        failed: Callable[[OSError, str], StagingError],
        on_entry: OnEntry | None = None,
        on_directory: Callable[[int], os.stat_result] = os.fstat,
    ) -> None:
        self.display = display
        self.size_bytes = self.file_count = self.allocated_bytes = 0
        self._failed = failed
        self._on_entry = on_entry
        self._on_directory = on_directory
        self._hash = hashlib.sha256()

    def add_directory(self, directory: int, prefix: str) -> None:
        """Add what is in a directory: its entries sorted by name, each directory after what it holds."""
        refuse_too_deep(self.display, prefix)
        path = prefix
        try:
            names = os.listdir(directory)
            names.sort(reverse=True)
            while names:
                name = names.pop()
                path = prefix + name
                self._add(directory, name, path)
        except OSError as error:
            raise self._failed(error, f"{self.display}/{path}") from error

    def _add(self, directory: int, name: str, path: str) -> None:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            self._enter(directory, name, path)
            return
        if self._on_entry:
            status = self._on_entry(directory, name, status, path)
        target = b""
        if stat.S_ISREG(status.st_mode):
            self.count(status)
        elif stat.S_ISLNK(status.st_mode):
            target = os.fsencode(os.readlink(name, dir_fd=directory))
        self._hash.update(line(path, status, target))

    def _enter(self, directory: int, name: str, path: str) -> None:
        inner = os.open(name, READ_DIRECTORY, dir_fd=directory)
        try:
            self.add_directory(inner, path + "/")
            self._hash.update(line(path, self._on_directory(inner)))
        finally:
            os.close(inner)

    def count(self, status: os.stat_result) -> None:
        """Count a regular file."""
        self.file_count += 1
        self.size_bytes += status.st_size
        self.allocated_bytes += min(status.st_size, status.st_blocks * _ALLOCATION_UNIT)

    def closed_with(self, top: os.stat_result, target: bytes = b"") -> str:
        """Return the fingerprint, the product's own line last."""
        whole = self._hash.copy()
        whole.update(line("", top, target))
        return whole.hexdigest()


def refuse_too_deep(display: str, prefix: str) -> None:
    """Raise `InvalidPath` for a directory deeper than descriptors allow."""
    if prefix.count("/") > MAX_DEPTH:
        path = f"{display}/{prefix}"
        raise InvalidPath(path, f"more than {MAX_DEPTH} directories deep")


def line(path: str, status: os.stat_result, target: bytes = b"") -> bytes:
    """Return one thing's line in a fingerprint."""
    facts = f"{path}\0{status.st_mode:o} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}\0"
    return b"%b%b\0" % (facts.encode("utf-8", "surrogateescape"), target)


def _refusing(source: Source) -> OnEntry:
    def judge(directory: int, name: str, status: os.stat_result, path: str) -> os.stat_result:
        if stat.S_ISREG(status.st_mode):
            return status
        refuse_special(status, f"{source.display}/{path}")
        target = os.readlink(name, dir_fd=directory)
        refuse_leading_out(source.content.fd, link=path, target=target, display=source.display)
        return status

    return judge
