"""A user's source, read by the service with the user's rights: their mover looks and opens, the service has the bytes.

What goes to a place that no mover can write to (another server, whose secret
a user's process must not hold) is sent by the service. It opens no path of the
user's by itself, and of what it is handed, it takes regular files and
directories alone.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from stager.errors import StagingError
from stager.methods import Item
from stager.mover.item_messages import SOURCE
from stager.mover.mover import Mover
from stager.mover.replies import Shown
from stager.paths import Descriptor, LentFolder, Location


def borrowed(
    item: Item, *, mover: Mover, item_id: int, roots: Mapping[Path, Descriptor], is_left: threading.Event
) -> Location:
    """Return an item's source as this process may read it.

    Parameters
    ----------
    mover
        It was told the item, by this id.
    roots
        The user's folders, open: what has a folder's name by now may be a link of the user's.
    is_left
        Set when the mover is not waited for any more.
    """
    if item.read_as == "service":
        return replace(item.source, is_direct=True, held=roots.get(item.source.root))
    return replace(item.source, held=LentFolder(-1, _LentByMover(mover, item_id, is_left), SOURCE))


@dataclass(frozen=True)
class _LentByMover:
    """Asks a mover; see `Lender`."""

    mover: Mover
    item_id: int
    is_left: threading.Event

    def status(self, folder: int, name: str) -> os.stat_result:
        shown, _ = self._asked("status", folder, name)
        try:
            return os.stat_result(*(shown.status or ()))
        except TypeError as error:
            raise OSError(errno.EPROTO, os.strerror(errno.EPROTO)) from error

    def link_text(self, folder: int, name: str) -> str:
        return self._asked("link text", folder, name)[0].text or ""

    def opened(self, folder: int, name: str) -> tuple[int, int]:
        shown, opened = self._asked("open", folder, name)
        kind = stat.S_IFMT(os.fstat(opened.fd).st_mode)
        if kind != (stat.S_IFDIR if shown.folder else stat.S_IFREG):
            raise OSError(errno.EPROTO, os.strerror(errno.EPROTO))
        fd, opened.fd = opened.fd, -1
        return fd, shown.folder or SOURCE

    def returned(self, folder: int) -> None:
        with suppress(StagingError):  # of a mover that is lost, nothing is lent
            self._asked("return", folder, "")

    def _asked(self, what: str, folder: int, name: str) -> tuple[Shown, Descriptor]:
        shown, opened = self.mover.lend(self.item_id, what, folder=folder, name=name, is_left=self.is_left)
        if shown.errno is not None:
            raise OSError(shown.errno, os.strerror(shown.errno))
        return shown, opened
