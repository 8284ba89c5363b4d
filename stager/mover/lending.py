"""Lending: sources in an area that users cannot enter are opened by the service, and passed to the mover.

The mover has no right in such an area and no privilege. The service opens
for it what its items are, and what is in them; nothing else, by no link, and
for reading alone.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from stager.methods import Item
from stager.mover.item_messages import SOURCE
from stager.paths import Descriptor, Location, Symlinks, open_beneath, open_location

_FOLDER = os.O_PATH | os.O_DIRECTORY
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
# Directories that are lent at a time: a walk holds one for each level.
_MOST = 1000


class Lending:
    """The open folders and files that are lent for the items of a batch.

    Parameters
    ----------
    roots
        The user's folders, open: what has a folder's name by now may be a link of the user's.
    """

    def __init__(self, roots: Mapping[Path, Descriptor]) -> None:
        self._roots = roots
        self._sources: dict[int, Location] = {}
        self._folders: dict[tuple[int, int], Descriptor] = {}
        self._last = SOURCE

    def begin(self, items: Mapping[int, Item]) -> None:
        """Take back all that was lent; from now on, only the sources of these items are lent."""
        self._folders.clear()
        self._sources = {
            item_id: replace(item.source, held=self._roots.get(item.source.root))
            for item_id, item in items.items()
            if item.read_as == "service"
        }

    def status(self, item_id: int, folder: int, name: str) -> list[Any]:
        """Return the status of a name in a lent folder, as the arguments of `os.stat_result`."""
        self._refuse_strange(item_id, folder, name)
        status = os.stat(name, dir_fd=self._folder(item_id, folder).fd, follow_symlinks=False)
        of_type: Any = status.__reduce__()  # the type, and what it is made of
        return list(of_type[1])

    def link_text(self, item_id: int, folder: int, name: str) -> str:
        """Return a symbolic link's text."""
        self._refuse_strange(item_id, folder, name)
        return os.readlink(name, dir_fd=self._folder(item_id, folder).fd)

    def opened(self, item_id: int, folder: int, name: str) -> tuple[Descriptor, int]:
        """Open a name in a lent folder; return it and, for a directory, the number by which that is lent."""
        self._refuse_strange(item_id, folder, name)
        within = self._folder(item_id, folder)
        kind = stat.S_IFMT(os.stat(name, dir_fd=within.fd, follow_symlinks=False).st_mode)
        if kind not in (stat.S_IFREG, stat.S_IFDIR):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        found = Descriptor(open_beneath(within.fd, (os.fsencode(name),), _READ, Symlinks.REFUSED))
        if kind == stat.S_IFREG:
            return found, SOURCE
        if len(self._folders) >= _MOST:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        self._last += 1
        self._folders[item_id, self._last] = Descriptor(os.dup(found.fd))
        return found, self._last

    def returned(self, item_id: int, folder: int) -> None:
        """Take a folder back."""
        self._folders.pop((item_id, folder), None)

    def _folder(self, item_id: int, folder: int) -> Descriptor:
        if (item_id, folder) not in self._folders:
            if folder != SOURCE or item_id not in self._sources:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            self._folders[item_id, SOURCE] = open_location(self._sources[item_id].parent, _FOLDER, Symlinks.REFUSED)
        return self._folders[item_id, folder]

    def _refuse_strange(self, item_id: int, folder: int, name: str) -> None:
        """Raise OSError for whatever is not the source, or in it."""
        is_name = name not in ("", ".", "..") and "/" not in name and "\0" not in name
        source = self._sources.get(item_id)
        is_within = source is not None and (folder != SOURCE or os.fsencode(name) == source.name)
        if not (is_name and is_within):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
