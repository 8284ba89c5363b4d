"""Opening directories of an area, and making those that are missing."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from stager.paths.beneath import Symlinks, open_beneath
from stager.paths.descriptor import Descriptor
from stager.paths.location import Location

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


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
