"""The refusal of a source and a destination that overlap, by inodes and not by names."""

from __future__ import annotations

import os

from stager.engine.mapping import writing
from stager.engine.source import Inode, Source, inode
from stager.errors import OverlappingPaths
from stager.paths import LentFolder, Location


def refuse_overlap(source: Source, *, parent: int, destination: Location, there: Inode | None) -> None:
    """Raise `OverlappingPaths` if one lies inside the other, or both are the same.

    Another hard link of the source is another place. What is lent lies where
    its user cannot enter, and so no destination of theirs.

    Parameters
    ----------
    parent
        The destination's folder, open.
    there
        What is at the destination, if anything is.
    """
    if isinstance(source.parent, LentFolder):
        return
    with writing(destination):
        folder, source_folder = inode(os.fstat(parent)), inode(os.fstat(source.parent.fd))
        overlaps = source_folder == folder and source.name == destination.name
        if source.is_directory:  # nothing lies in a file
            overlaps |= there == inode(source.status) or inode(source.status) in _upwards(parent)
        overlaps |= there is not None and there in _upwards(source.parent.fd)
    if overlaps:
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
