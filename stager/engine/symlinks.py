"""Symbolic links inside a tree: those that stay inside are kept as they are, others are refused."""

from __future__ import annotations

import errno
import os
from pathlib import PurePosixPath

from stager.errors import SymlinkLeadsOut
from stager.paths import Symlinks, names_in, open_beneath

ABSENT_ERRORS = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES)


def refuse_leading_out(top: int, *, link: str, target: str, display: str) -> None:
    """Raise `SymlinkLeadsOut` unless a link stays inside its tree.

    By its text it must be relative and never climb above the top, and
    followed through the tree's other links it must not either. One that leads
    to nothing inside is kept.

    Parameters
    ----------
    top
        Descriptor of the tree's top.
    link
        Path of the link in the tree.
    target
        Its text.
    display
        The tree's path, for the message.
    """
    folder = PurePosixPath(link).parts[:-1]
    parts = names_in(target)
    if target.startswith("/") or _climbs_out(len(folder), parts) or _is_outside(top, [*folder, *parts]):
        path = f"{display}/{link}"
        raise SymlinkLeadsOut(path, target)


def _climbs_out(depth: int, parts: list[str]) -> bool:
    for part in parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return True
    return False


def _is_outside(top: int, parts: list[str]) -> bool:
    try:
        os.close(open_beneath(top, [os.fsencode(part) for part in parts], os.O_PATH, Symlinks.FOLLOWED_BENEATH))
    except OSError as error:
        return error.errno not in ABSENT_ERRORS
    return False
