"""Open sources, with the place at which they really are."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from stager.engine.mapping import opening_source
from stager.errors import PathOutsideArea, SourceUnreadable, UnsupportedFileType
from stager.paths import Descriptor, LentFolder, Location, Symlinks, names_in, open_beneath, open_root
from stager.slices import copying

READ = copying.READ
READ_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_MAX_LINKS = 40

Inode = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Source:
    """What is at a source's path once symbolic links on it were followed."""

    place: Location
    parent: Descriptor
    name: bytes
    content: Descriptor
    status: os.stat_result

    @property
    def display(self) -> str:
        """What it is called in messages."""
        return self.place.display

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory, else a regular file."""
        return stat.S_ISDIR(self.status.st_mode)


def inode(status: os.stat_result) -> Inode:
    """Return what identifies a file: its device and inode number."""
    return status.st_dev, status.st_ino


@contextmanager
def opened(source: Location) -> Iterator[Source]:
    """Open a source for reading; links are followed as long as they stay in the area, or none if it is direct.

    Raises
    ------
    SourceNotFound, SourceUnreadable, PathOutsideArea
        Nothing is there, it may not be read, a link leads out of the area.
    UnsupportedFileType
        It is neither a regular file nor a directory. It was not opened:
        opening a device or a FIFO may have an effect.
    """
    with opening_source(source):
        parent, name = folder_of(source)
    with parent:
        with opening_source(source):
            status = parent.status(name)
            refuse_special(status, source.display)
            content = parent.opened(name, READ)
        with content:
            yield Source(source, parent, name, content, os.fstat(content.fd))


def refuse_special(status: os.stat_result, path: str) -> None:
    """Raise `UnsupportedFileType` for anything but a file, a directory or a link."""
    kind = kind_in_words(status.st_mode)
    if kind not in ("a file", "a directory", "a symbolic link"):
        raise UnsupportedFileType(path, kind)


def kind_in_words(mode: int) -> str:
    """Return in words what kind of file a mode stands for."""
    kinds = {
        stat.S_IFREG: "a file",
        stat.S_IFDIR: "a directory",
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a character device",
        stat.S_IFBLK: "a block device",
    }
    return kinds.get(stat.S_IFMT(mode), "of an unknown type")


def folder_of(source: Location) -> tuple[Descriptor, bytes]:
    """Return the folder in which a source really is, open, and its name there; raises OSError, or as `opened`."""
    if isinstance(source.held, LentFolder):
        return source.held.lent_again(), source.name
    parts = list(source.parts)
    symlinks = Symlinks.REFUSED if source.is_direct else Symlinks.FOLLOWED_BENEATH
    with open_root(source) as area:
        for _ in range(_MAX_LINKS):
            if not parts or parts[-1] == b"..":
                # Only a link's text has dots: then the folder has no name of its own here.
                return _open(area, parts, symlinks), b"."
            parent = _open(area, parts[:-1], symlinks)
            target = _link(parent, parts[-1])
            if target is None:
                return parent, parts[-1]
            if source.is_direct:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            if target.startswith(b"/"):
                raise PathOutsideArea(source.display, str(source.root))
            parts[-1:] = names_in(target)
    raise SourceUnreadable(source.display, "too many symbolic links")


def _open(area: Descriptor, parts: list[bytes], symlinks: Symlinks) -> Descriptor:
    return Descriptor(open_beneath(area.fd, parts, os.O_PATH | os.O_DIRECTORY, symlinks))


def _link(directory: Descriptor, name: bytes) -> bytes | None:
    if stat.S_ISLNK(os.stat(name, dir_fd=directory.fd, follow_symlinks=False).st_mode):
        return os.readlink(name, dir_fd=directory.fd)
    return None
