"""Links in place of copies: a symbolic one, or a second name of the source's file."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable

from stager.engine.mapping import writing
from stager.engine.overlap import refuse_overlap
from stager.engine.source import inode, opened
from stager.engine.staged import Ownership, Staged, staging
from stager.errors import DestinationTampered, HardLinkImpossible
from stager.paths import Location


def stage_symlink(target: bytes, destination: Location, *, ownership: Ownership) -> Staged:
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
    with staging(destination, ownership) as staged, writing(destination.display):
        staged.kind = "symlink"
        os.symlink(target, staged.name, dir_fd=staged.parent.fd)
        _note(staged)
        return staged


def stage_hard_link(
    source: Location, destination: Location, *, uid: int, gids: Iterable[int], ownership: Ownership
) -> Staged:
    """Give the source's file a second name, a temporary one beside the destination.

    Parameters
    ----------
    uid, gids
        The user that gets it: owning the shared inode, or being let write it
        by its mode, would let them change the source.

    Raises
    ------
    HardLinkImpossible
        A directory, another file system, a kernel that forbids it (the
        source is another user's and fs.protected_hardlinks is set), or the
        user could write to the source.
    SourceError, InvalidPath, DestinationError, StorageFault
        As `transfer` does.
    """
    with opened(source) as found:
        _refuse_writable(found.status, destination.display, uid=uid, gids=frozenset(gids))
        with staging(destination, ownership) as staged:
            refuse_overlap(found, parent=staged.parent.fd, destination=destination)
            staged.is_shared = True
            staged.size_bytes, staged.file_count = found.status.st_size, 1
            _link(found.parent.fd, found.name, staged)
            if staged.inode != inode(found.status):
                raise DestinationTampered(destination.display, "the source was exchanged while it was linked")
            return staged


def _link(directory: int, name: bytes, staged: Staged) -> None:
    display = staged.destination.display
    try:
        os.link(name, staged.name, src_dir_fd=directory, dst_dir_fd=staged.parent.fd, follow_symlinks=False)
        _note(staged)
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise HardLinkImpossible(display, "the source is on another file system") from error
        if error.errno in (errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP):
            raise HardLinkImpossible(display, f"the system refuses it ({errno.errorcode[error.errno]})") from error
        with writing(display):
            raise


def _note(staged: Staged) -> None:
    status = staged.status(staged.name)
    staged.inode = inode(status) if status else None


def _refuse_writable(status: os.stat_result, display: str, *, uid: int, gids: frozenset[int]) -> None:
    """Raise when a user could write to a file, or make it writable."""
    if stat.S_ISDIR(status.st_mode):
        raise HardLinkImpossible(display, "a directory cannot have a second name")
    mode = status.st_mode
    by_group = mode & stat.S_IWGRP and status.st_gid in gids
    if status.st_uid == uid or by_group or mode & stat.S_IWOTH:
        raise HardLinkImpossible(display, "the user could write to the source through it")
