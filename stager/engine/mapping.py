"""The mapping of system calls' errors to this project's, with the path."""

from __future__ import annotations

import errno
from collections.abc import Callable
from types import TracebackType

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


class Mapped:
    """Raises the error that a function gives for a system call's error in the body; no generator, which takes longer.

    Parameters
    ----------
    mapping
        Called with the system call's error.
    """

    __slots__ = ("_mapping",)

    def __init__(self, mapping: Callable[[OSError], StagingError]) -> None:
        self._mapping = mapping

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            raise self._mapping(error) from error


def opening_source(source: Location) -> Mapped:
    """Map the errors of the body, which opens a source."""
    return Mapped(lambda error: _unopened(error, source))


def _unopened(error: OSError, source: Location) -> StagingError:
    if error.errno == errno.EXDEV:
        return PathOutsideArea(source.display, str(source.root))
    if error.errno == errno.ELOOP:
        return SourceUnreadable(source.display, "a symbolic link on the way is not followed here")
    return source_error(error, source.display)


def writing(destination: Location | str) -> Mapped:
    """Map the errors of the body, which writes at a destination: a location, or what it is called."""
    return Mapped(lambda error: refused(error, destination if isinstance(destination, str) else destination.display))


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
