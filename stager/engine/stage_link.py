"""Staging of links in place of copies: a symbolic link, or a hard link to the source's file."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Collection

from stager.engine.mapping import writing
from stager.engine.overlap import refuse_overlap
from stager.engine.source import inode, opened
from stager.engine.staged import Modes, Staged, staging
from stager.errors import DestinationTampered, HardLinkImpossible
from stager.paths import Descriptor, Location

# A function of an open file, an open folder and a name, which gives the file the name there.
Link = Callable[[int, int, bytes], None]


def stage_symlink(target: bytes, destination: Location, *, modes: Modes) -> Staged:
    """Make a symbolic link under a temporary name beside its destination.

    Parameters
    ----------
    target
        Its text: where the users see the source. It is not looked at.

    Raises
    ------
    InvalidPath, DestinationError, StorageFault
        As `transfer` does.
    """
    with staging(destination, modes) as staged, writing(destination):
        staged.kind = "symlink"
        os.symlink(target, staged.name, dir_fd=staged.parent.fd)
        _note(staged)
        return staged


def stage_hard_link(source: Location, destination: Location, *, modes: Modes, link: Link) -> Staged:
    """Give the source's file a second, temporary name beside the destination.

    Parameters
    ----------
    link
        What gives an open file a name.

    Raises
    ------
    HardLinkImpossible
        A directory, another file system, a kernel that forbids it (the
        source is another user's and fs.protected_hardlinks is set), or the
        running account could write to the source through it, by its mode or by owning it.
    SourceError, InvalidPath, DestinationError, StorageFault
        As `transfer` does.
    """
    with opened(source) as found:
        refuse_writable(found.status, destination.display, uid=os.geteuid(), gids={os.getegid(), *os.getgroups()})
        with staging(destination, modes) as staged:
            refuse_overlap(found, parent=staged.parent.fd, destination=destination, there=staged.previous)
            staged.is_shared = True
            staged.size_bytes, staged.file_count = found.status.st_size, 1
            _link(found.content, staged, link)
            if staged.inode != inode(found.status):
                raise DestinationTampered(destination.display, "the source was exchanged while it was linked")
            return staged


def _link(source: Descriptor, staged: Staged, link: Link) -> None:
    display = staged.destination.display
    try:
        link(source.fd, staged.parent.fd, staged.name)
        _note(staged)
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise HardLinkImpossible(display, "the source is on another file system") from error
        if error.errno in (errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP):
            raise HardLinkImpossible(display, f"the system refuses it ({errno.errorcode[error.errno]})") from error
        with writing(display):
            raise


def link_opened(source: int, folder: int, name: bytes) -> None:
    """Give an open file a name in an open folder.

    Notes
    -----
    linkat(2), the form for processes without CAP_DAC_READ_SEARCH.
    """
    os.link(f"/proc/self/fd/{source}", name, dst_dir_fd=folder, follow_symlinks=True)


def _note(staged: Staged) -> None:
    status = staged.status(staged.name)
    staged.inode = inode(status) if status else None


def refuse_writable(status: os.stat_result, display: str, *, uid: int, gids: Collection[int]) -> None:
    """Raise `HardLinkImpossible` if a user could write to a file, or make it writable."""
    if stat.S_ISDIR(status.st_mode):
        raise HardLinkImpossible(display, "a directory cannot have a second name")
    mode = status.st_mode
    by_group = mode & stat.S_IWGRP and status.st_gid in gids
    if status.st_uid == uid or by_group or mode & stat.S_IWOTH:
        raise HardLinkImpossible(display, "the user could write to the source through it")
