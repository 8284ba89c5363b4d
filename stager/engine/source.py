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
from stager.paths import Descriptor, LentFolder, Location, Symlinks, names_in, open_folder
from stager.slices import copying

READ = copying.READ
READ_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_MAX_LINKS = 40
_ORDINARY = frozenset({stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK})

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
        parent, name, status = _found(source)
        refuse_special(status, source.display)
        content = parent.opened(name, READ)
    with content:
        yield Source(source, parent, name, content, os.fstat(content.fd))


def refuse_special(status: os.stat_result, path: str) -> None:
    """Raise `UnsupportedFileType` for anything but a file, a directory or a link."""
    if stat.S_IFMT(status.st_mode) not in _ORDINARY:
        raise UnsupportedFileType(path, kind_in_words(status.st_mode))


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
    return _found(source)[:2]


def _found(source: Location) -> tuple[Descriptor, bytes, os.stat_result]:
    """Return the `folder_of` a source, its name there, and the status of what has that name, which is no link."""
    if isinstance(source.held, LentFolder):
        lent = source.held.lent_again()
        return lent, source.name, lent.status(source.name)
    parts = source.parts
    symlinks = Symlinks.REFUSED if source.is_direct else Symlinks.FOLLOWED_BENEATH
    for _ in range(_MAX_LINKS):
        # Only a link's text has dots: then the folder has no name of its own here.
        is_nameless = not parts or parts[-1] == b".."
        inner, name = (parts, b".") if is_nameless else (parts[:-1], parts[-1])
        parent = open_folder(source, inner, symlinks)
        status = parent.status(name)
        if not stat.S_ISLNK(status.st_mode):
            return parent, name, status
        if source.is_direct:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        target = os.readlink(name, dir_fd=parent.fd)
        if target.startswith(b"/"):
            raise PathOutsideArea(source.display, str(source.root))
        parts = (*inner, *names_in(target))
    raise SourceUnreadable(source.display, "too many symbolic links")
