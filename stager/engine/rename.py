"""Renaming that never loses what has the name, also where the kernel's flags are not supported.

NFS and some FUSE file systems answer EINVAL to the flags of renameat2(2).
There a file or a link gets its final name by link(2), which fails where
something is; a directory by rename(2) after a look, which can at most take
the place of an empty directory that was made in between. A file is
replaced by rename(2), at once as well; a directory is not replaced.
"""

from __future__ import annotations

import errno
import os
import stat

from stager.engine.kernel import rename_exchange, rename_noreplace

_NO_FLAGS = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})


def move(directory: int, old: bytes, new: bytes) -> None:
    """Rename within a directory; raise EEXIST where something has the new name."""
    try:
        rename_noreplace(directory, old, new)
    except OSError as error:
        if error.errno not in _NO_FLAGS:
            raise
        move_without_flags(directory, old, new)


def move_without_flags(directory: int, old: bytes, new: bytes) -> None:
    """Rename as `move` does, by link(2) or by rename(2) after a look."""
    if not _is_directory(directory, old):
        os.link(old, new, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
        os.unlink(old, dir_fd=directory)
        return
    try:
        os.stat(new, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(old, new, src_dir_fd=directory, dst_dir_fd=directory)
    else:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new)


def exchange(directory: int, temporary: bytes, final: bytes) -> None:
    """Exchange two names at once; without the flag a file takes the other file's place."""
    try:
        rename_exchange(directory, temporary, final)
    except OSError as error:
        if error.errno not in _NO_FLAGS:
            raise
        exchange_without_flags(directory, temporary, final)


def exchange_without_flags(directory: int, temporary: bytes, final: bytes) -> None:
    """Let a file take the other's place; raise EPERM where one is a directory."""
    if _is_directory(directory, temporary) or _is_directory(directory, final):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), final)
    os.rename(temporary, final, src_dir_fd=directory, dst_dir_fd=directory)


def _is_directory(directory: int, name: bytes) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
