"""The room at a notebook server, as a kernel of it tells."""

from __future__ import annotations

import re

from stager.peers.jupyter.contents import Contents
from stager.peers.jupyter.kernel import NotDoneByKernel

_TOLD = re.compile(r"(\d{1,20}) (\d{1,20})", re.ASCII)
_TELLS = "(lambda os, at: '%d %d' % (os.stat(at).st_dev, os.statvfs(at).f_bavail * os.statvfs(at).f_frsize))"


def room_in(contents: Contents, folder: str) -> tuple[int, int] | None:
    """Return a folder's file system, and how many bytes have room there; None where nothing tells.

    Neither the contents API nor the hub knows it. A quota shows where the file
    system shows it to statvfs(3).
    """
    try:
        told = _TOLD.fullmatch(contents.kernel.value_of("import os", f"{_TELLS}(os, {folder or '.'!r})"))
    except NotDoneByKernel:
        return None
    return (int(told[1]), int(told[2])) if told else None
