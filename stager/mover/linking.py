"""Hard links for a mover: its user opens the file, and root gives it the name.

Where fs.protected_hardlinks is set (proc_sys_fs(5)), nobody but root links
what they may not write. So the thread that does it has the user's rights, and
of root's that one: the kernel judges the folder by what the user may do.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Collection
from pathlib import Path

from stager.engine import Link, link_opened
from stager.engine.stage_link import refuse_writable
from stager.errors import HardLinkImpossible
from stager.paths import RESERVED_PREFIX
from stager.privileges import Account, linking_as


def linking_for(account: Account | None, areas: Collection[Path]) -> Link:
    """Return a function that links a file that a user has opened for reading into a folder of theirs.

    It raises OSError, or `HardLinkImpossible`: not such a file in one of
    the areas, or one that the user could write to.
    """

    def link(source: int, folder: int, name: bytes) -> None:
        if account is None:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        _refuse(source, name, areas, account)
        with linking_as(account):
            link_opened(source, folder, name)

    return link


def _refuse(source: int, name: bytes, areas: Collection[Path], account: Account) -> None:
    path, status = Path(f"/proc/self/fd/{source}").readlink(), os.fstat(source)
    is_open = not fcntl.fcntl(source, fcntl.F_GETFL) & os.O_PATH  # the kernel let the user read it
    is_data = stat.S_ISREG(status.st_mode) and not status.st_mode & (stat.S_ISUID | stat.S_ISGID)
    is_ours = name.startswith(RESERVED_PREFIX) and b"/" not in name
    if not (is_open and is_data and is_ours and any(path.is_relative_to(area.resolve()) for area in areas)):
        raise HardLinkImpossible(str(path), "it is not a file of the source area")
    refuse_writable(status, str(path), uid=account.uid, gids=account.groups)
