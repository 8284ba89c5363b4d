"""Sources that are open: whatever their names lead to later does not matter."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass

from stager.callers.area_reading import AreaAccess
from stager.engine import fingerprint_of_file
from stager.errors import UnsupportedFileType
from stager.paths import Descriptor, Location, open_location

# Opening a FIFO must not block, and no terminal may become ours.
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
# A file system's times advance in ticks: a file that changes twice within a tick has the same time.
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
        """Whether it is a directory, else a regular file."""
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def size_bytes(self) -> int:
        """A file's size."""
        return self.status.st_size

    @property
    def fingerprint(self) -> str:
        """A fingerprint of stat(2), which any change of the file changes."""
        return fingerprint_of_file(self.status)

    @property
    def is_settled(self) -> bool:
        """Whether it is unchanged for so long that its fingerprint shows every later change."""
        return is_settled(self.status)


def is_settled(status: os.stat_result) -> bool:
    """Tell whether something is unchanged for so long that its times differ from those of every later state.

    By its ctime alone, which every change sets to the clock: an mtime is what anybody says, the future too.
    """
    return time.time() - status.st_ctime >= SETTLED_SECONDS


def open_source(access: AreaAccess, root: Descriptor, path: str) -> OpenSource:
    """Open a file or a directory of an area, with the calling thread's rights.

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
