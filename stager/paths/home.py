"""User folders: a user's paths in a user area begin there, and cannot leave it.

It is entered by a descriptor, whatever the area lets its users do: the
service opens it, and hands it to who works with the user's rights. The
folder's own modes count.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from stager.errors import DestinationNotWritable, UserFolderMissing
from stager.paths.descriptor import Descriptor
from stager.paths.directory import open_area
from stager.paths.location import user_folder

# O_PATH: the folder may be the user's alone, and this is enough to enter it later.
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
_WRITABLE_TO_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_UNFINISHED = stat.S_ISVTX  # means nothing where only the owner may write: nobody else sets it so
# Errors of mkdir(2) and chown(2) on a storage that lets root do neither, as NFS with root_squash.
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def open_home(area: Path, username: str) -> Descriptor:
    """Open a user's folder, which must not be a link.

    Raises
    ------
    OSError
        As open(2): ENOENT where there is none, ELOOP or ENOTDIR where it is no folder.
    """
    name = user_folder(area, username).name
    with open_area(area) as root:
        return Descriptor(os.open(name, _FOLDER, dir_fd=root.fd))


def make_home(area: Path, username: str, *, uid: int, gid: int, mode: int) -> Descriptor:
    """Open a user's folder; make it and give it to them if there is none.

    Parameters
    ----------
    uid, gid
        Whose it becomes where it is made; -1 leaves the running account.
    mode
        Its permission bits where it is made.

    Raises
    ------
    UserFolderMissing
        There is none, and the storage does not let this account make one and give it away.
    DestinationNotWritable
        It is another account's, neither the user's nor root's.
    OSError
        As open(2) and mkdir(2).
    """
    folder = user_folder(area, username)
    with open_area(area) as root:
        try:
            with suppress(FileExistsError):
                _make(root.fd, folder.name)
            _finish(root.fd, folder.name, uid=uid, gid=gid, mode=mode)
            opened = Descriptor(os.open(folder.name, _FOLDER, dir_fd=root.fd))
        except OSError as error:
            if error.errno in _REFUSED:
                raise UserFolderMissing(str(folder), os.strerror(error.errno)) from error
            raise
    owner = os.fstat(opened.fd).st_uid
    if uid >= 0 and owner not in (uid, 0):  # whoever may write to the area could have made it first
        raise DestinationNotWritable(str(folder), f"the user's folder belongs to another account (uid {owner})")
    return opened


def _make(area: int, name: str) -> None:
    """Make a folder, marked as unfinished, unless there is one."""
    try:
        os.stat(name, dir_fd=area, follow_symlinks=False)
    except FileNotFoundError:
        os.mkdir(name, stat.S_IRWXU | _UNFINISHED, dir_fd=area)


def _finish(area: int, name: str, *, uid: int, gid: int, mode: int) -> None:
    """Give an unfinished folder its owner, also if its maker was killed before that.

    It must be empty and ours: it may have been exchanged since it was made.
    One that cannot be given away is removed.
    """
    status = os.stat(name, dir_fd=area, follow_symlinks=False)
    is_unfinished = status.st_mode & (_UNFINISHED | _WRITABLE_TO_OTHERS) == _UNFINISHED
    if not stat.S_ISDIR(status.st_mode) or not is_unfinished or status.st_uid not in (os.geteuid(), uid):
        return
    with Descriptor(os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=area)) as made:
        is_another = not os.path.samestat(os.fstat(made.fd), status)
        if is_another or os.listdir(made.fd):  # noqa: PTH208 - a descriptor has no path
            return
        try:
            os.fchown(made.fd, uid, gid)
            os.fchmod(made.fd, mode)
        except PermissionError:
            with suppress(OSError):
                os.rmdir(name, dir_fd=area)
            raise
