"""A source, opened beneath its area: what its name leads to later does not matter."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass

from stager.errors import PathOutsideArea, SourceError, StagingError, UnsupportedFileType, source_error
from stager.models import StorageArea
from stager.paths import Descriptor, Location, Symlinks, locate, open_location

# A FIFO must not hold us up, nor a terminal become ours.
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY


@dataclass(frozen=True)
class OpenSource:
    """A file that is open for reading."""

    location: Location
    descriptor: Descriptor
    size_bytes: int


def open_source(area: StorageArea, path: str) -> OpenSource:
    """Open a file of a source area.

    Raises
    ------
    PathOutsideArea
        The path leads out of the area, by itself or by a symbolic link.
    SourceNotFound
        Nothing is there.
    SourceError
        It cannot be read, or is not a file.
    """
    location = locate(area.path, path, may_be_absolute=True)
    try:
        descriptor = open_location(location, _FLAGS, Symlinks.FOLLOWED_BENEATH)
    except OSError as error:
        raise _in_words(error, location) from error
    found = os.fstat(descriptor.fd)
    if not stat.S_ISREG(found.st_mode):
        descriptor.close()
        raise _not_a_file(location, found.st_mode)
    return OpenSource(location, descriptor, found.st_size)


def _in_words(error: OSError, location: Location) -> StagingError:
    if error.errno in (errno.EXDEV, errno.ELOOP):
        return PathOutsideArea(location.display, str(location.root))
    if error.errno == errno.ENXIO:
        return UnsupportedFileType(location.display, "a socket or a device")
    return source_error(error, location.display)


def _not_a_file(location: Location, mode: int) -> StagingError:
    if stat.S_ISDIR(mode):
        return SourceError(location.display, "a directory cannot be downloaded by this method")
    return UnsupportedFileType(location.display, "a FIFO, a socket or a device")
