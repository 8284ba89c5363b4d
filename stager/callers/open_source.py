"""A source, opened beneath its area: what its name leads to later does not matter."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass

from stager.callers.reading import AreaAccess
from stager.engine import fingerprint_of_file
from stager.errors import UnsupportedFileType
from stager.paths import Descriptor, Location, open_location

# A FIFO must not hold us up, nor a terminal become ours.
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
# Times of a file system tick: what changes twice within a tick has one time.
# Seconds that a file must have been left alone for its times to tell it from every later state.
SETTLED_SECONDS = 2.0


@dataclass(frozen=True)
class OpenSource:
    """A file or a directory that is open for reading."""

    access: AreaAccess
    location: Location
    descriptor: Descriptor
    status: os.stat_result

    @property
    def is_directory(self) -> bool:
        """It is a directory; else it is a regular file."""
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def size_bytes(self) -> int:
        """A file's size."""
        return self.status.st_size

    @property
    def fingerprint(self) -> str:
        """What any change of the file changes."""
        return fingerprint_of_file(self.status)

    @property
    def is_settled(self) -> bool:
        """Nobody has touched it for long enough that its fingerprint tells every later change."""
        return is_settled(self.status)


def is_settled(status: os.stat_result) -> bool:
    """Tell whether something has been left alone for so long that its times tell it from every later state.

    By its ctime alone, which every change sets to the clock: an mtime is what anybody says, the future too.
    """
    return time.time() - status.st_ctime >= SETTLED_SECONDS


def open_source(access: AreaAccess, root: Descriptor, path: str) -> OpenSource:
    """Open a file or a directory of an area, with the rights that the thread has.

    Parameters
    ----------
    root
        What the paths are beneath, open.
    path
        Relative to it, or absolute inside an area that users share.

    Raises
    ------
    InvalidPath, PathOutsideArea
        The path says nothing, or leads out of a shared area by itself or by a symbolic link.
    SourceNotFound
        Nothing is there.
    SourceUnreadable, UnsupportedFileType
        It may not be read, or is neither a file nor a directory.
    """
    location = access.locate(path, root)
    try:
        descriptor = open_location(location, _FLAGS, access.symlinks)
    except OSError as error:
        raise access.error(error, location) from error
    status = os.fstat(descriptor.fd)
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        descriptor.close()
        raise UnsupportedFileType(location.display, "a FIFO, a socket or a device")
    return OpenSource(access, Location(location.root, location.parts), descriptor, status)
