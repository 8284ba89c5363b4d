"""The mapping of system calls' errors to this project's, with the path."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from stager.errors import (
    DestinationDiffers,
    DestinationNotWritable,
    PathOutsideArea,
    SourceChanged,
    SourceUnreadable,
    StagingError,
    destination_error,
    source_error,
)
from stager.paths import Location

_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


@contextmanager
def opening_source(source: Location) -> Iterator[None]:
    """Map the errors of the body, which opens a source."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise PathOutsideArea(source.display, str(source.root)) from error
        if error.errno == errno.ELOOP:
            raise SourceUnreadable(source.display, "a symbolic link on the way is not followed here") from error
        raise source_error(error, source.display) from error


@contextmanager
def writing(destination: Location | str) -> Iterator[None]:
    """Map the errors of the body, which writes at a destination: a location, or what it is called."""
    try:
        yield
    except OSError as error:
        raise refused(error, destination if isinstance(destination, str) else destination.display) from error


def refused(error: OSError, path: str) -> StagingError:
    """Return the error for a call that failed at a destination."""
    if error.errno in (errno.ELOOP, errno.EXDEV):
        return DestinationNotWritable(path, "a symbolic link is on the way")
    if error.errno == errno.ENOTDIR:
        return DestinationDiffers(path, "something on the way to it is no directory")
    return destination_error(error, path)


def unread(error: OSError, path: str) -> StagingError:
    """Return the error for a call that failed on a source that existed before."""
    if error.errno in _GONE:
        return SourceChanged(path, "it vanished")
    return source_error(error, path)
