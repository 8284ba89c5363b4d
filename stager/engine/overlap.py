"""The refusal of a source and a destination that overlap, by inodes and not by names."""

from __future__ import annotations

import os

from stager.engine.mapping import writing
from stager.engine.source import Inode, Source, inode
from stager.errors import OverlappingPaths
from stager.paths import LentFolder, Location


def refuse_overlap(source: Source, *, parent: int, destination: Location) -> None:
    """Raise `OverlappingPaths` if one lies inside the other, or both are the same.

    Another hard link of the source is another place. What is lent lies where
    its user cannot enter, and so no destination of theirs.
    """
    if isinstance(source.parent, LentFolder):
        return
    with writing(destination.display):
        above_destination = _upwards(parent)
        try:
            there = inode(os.stat(destination.name, dir_fd=parent, follow_symlinks=False))
        except FileNotFoundError:
            there = None
        above_source = _upwards(source.parent.fd)
    is_one_place = above_source[0] == above_destination[0] and source.name == destination.name
    if source.is_directory:
        is_one_place |= there == inode(source.status)
    if is_one_place or inode(source.status) in above_destination or there in above_source:
        raise OverlappingPaths(source.display, destination.display)


def _upwards(directory: int) -> list[Inode]:
    """Return the inodes of a directory and of its parents, as far up as this account may look."""
    path = "."
    found = [inode(os.stat(path, dir_fd=directory))]
    while True:
        path += "/.."
        try:
            above = inode(os.stat(path, dir_fd=directory))
        except PermissionError:
            return found
        if above == found[-1]:
            return found
        found.append(above)
