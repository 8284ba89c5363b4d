"""Opening directories of an area, and making those that are missing."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path

from stager.paths.beneath import Symlinks, open_beneath
from stager.paths.descriptor import Descriptor
from stager.paths.location import Location

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_FOLDER = os.O_PATH | os.O_DIRECTORY
# How many folders are kept open at a time, and each for how many seconds at most.
MOST_KEPT = 8
_KEPT_SECONDS = 1.0
# Those, with the time of their opening, by their names and by what these begin at; None where each is opened anew.
_kept: ContextVar[dict[tuple[object, ...], tuple[float, Descriptor]] | None] = ContextVar("kept", default=None)


def open_area(root: Path) -> Descriptor:
    """Open an area's root. Its path is the operator's: links on the way to it are followed."""
    return Descriptor(os.open(root, os.O_PATH | os.O_DIRECTORY))


def open_root(location: Location) -> Descriptor:
    """Open the root that a location is confined to: by a held descriptor, or else by its path."""
    return Descriptor(os.dup(location.held.fd)) if location.held is not None else open_area(location.root)


def open_location(location: Location, flags: int, symlinks: Symlinks) -> Descriptor:
    """Open a location, confined to its root; raises OSError as `open_beneath` does."""
    with open_root(location) as root:
        return Descriptor(open_beneath(root.fd, location.parts, flags, symlinks))


@contextmanager
def folders_kept() -> Iterator[None]:
    """Have `open_folder` open each folder once in a second while the body runs, for all that is in it.

    A folder that is moved or exchanged meanwhile stays the one that it was when it was opened,
    as it does between any opening and what follows: it was beneath its root then, and is entered with no other rights.
    What is staged in it is published only where its path leads there still.
    """
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def open_folder(location: Location, parts: Sequence[bytes], symlinks: Symlinks) -> Descriptor:
    """Open a folder beneath a location's root, for what is in it; raises OSError as `open_beneath` does.

    Others may have it too: nobody closes it, and it closes with the last reference.
    """
    kept = _kept.get()
    key = location.root, location.held, symlinks, *parts
    if kept is not None and key in kept:
        opened_at, found = kept[key]
        if time.monotonic() - opened_at < _KEPT_SECONDS:
            return found
        del kept[key]
    with open_root(location) as root:
        opened = Descriptor(open_beneath(root.fd, parts, _FOLDER, symlinks))
    if kept is not None:
        if len(kept) >= MOST_KEPT:
            del kept[next(iter(kept))]
        kept[key] = time.monotonic(), opened
    return opened


def make_directories(location: Location, *, mode: int, made: list[Location]) -> Descriptor:
    """Open a directory for reading; make it and its parents where they are missing.

    No symbolic link is followed on the way.

    Parameters
    ----------
    mode
        Permission bits of what is made; the process's umask applies.
    made
        Gets the place of each directory made, outermost first, just before
        it is made, so that whatever interrupts us can remove them.

    Raises
    ------
    OSError
        As mkdir(2) and open(2); ELOOP for a symbolic link on the way.
    """
    with suppress(FileNotFoundError):
        return open_location(location, _DIRECTORY, Symlinks.REFUSED)
    current = open_root(location)
    for depth in range(1, len(location.parts) + 1):
        with current:
            current = _enter(current.fd, replace(location, parts=location.parts[:depth]), mode=mode, made=made)
    return current


def _enter(directory: int, place: Location, *, mode: int, made: list[Location]) -> Descriptor:
    with suppress(FileNotFoundError):
        return Descriptor(open_beneath(directory, (place.name,), _DIRECTORY, Symlinks.REFUSED))
    made.append(place)
    try:
        os.mkdir(place.name, mode, dir_fd=directory)
    except FileExistsError:
        made.pop()
    return Descriptor(open_beneath(directory, (place.name,), _DIRECTORY, Symlinks.REFUSED))
