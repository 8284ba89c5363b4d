"""Lending: a source that another process may not enter is opened for it, one file at a time.

The service lends a mover what is in an area that users cannot enter; a mover
lends the service what its user may read. Whoever lends opens what the items
are, and what is in them; nothing else, and for reading alone.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Mapping
from typing import Any

from stager.mover.item_messages import SOURCE
from stager.paths import Descriptor, Location, Symlinks, open_beneath

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
# Directories that are lent at a time: a walk holds one for each level.
_MAX_FOLDERS = 1000


class Lending:
    """The open folders and files that are lent for the items of a batch.

    Parameters
    ----------
    entered
        Opens the folder that a source is in, and returns it with the source's name there; raises OSError.
    """

    def __init__(self, entered: Callable[[Location], tuple[Descriptor, bytes]]) -> None:
        self._entered = entered
        self._sources: dict[int, Location] = {}
        self._names: dict[int, str] = {}
        self._folders: dict[tuple[int, int], Descriptor] = {}
        self._last = SOURCE

    def begin(self, sources: Mapping[int, Location]) -> None:
        """Take back all that was lent; from now on, only these sources are lent, by the ids of their items."""
        self._folders.clear()
        self._sources = dict(sources)

    def status(self, item_id: int, folder: int, name: str) -> list[Any]:
        """Return the status of a name in a lent folder, as the arguments of `os.stat_result`."""
        within, name = self._found(item_id, folder, name)
        of_type: Any = within.status(name).__reduce__()  # the type, and what it is made of
        return list(of_type[1])

    def link_text(self, item_id: int, folder: int, name: str) -> str:
        """Return a symbolic link's text."""
        within, name = self._found(item_id, folder, name)
        return within.link_text(name)

    def opened(self, item_id: int, folder: int, name: str) -> tuple[Descriptor, int]:
        """Open what has a name in a lent folder; return it, and the number by which a directory is lent in its turn."""
        within, name = self._found(item_id, folder, name)
        kind = stat.S_IFMT(within.status(name).st_mode)
        if kind not in (stat.S_IFREG, stat.S_IFDIR):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        found = Descriptor(open_beneath(within.fd, (os.fsencode(name),), _READ, Symlinks.REFUSED))
        if kind == stat.S_IFREG:
            return found, SOURCE
        if len(self._folders) >= _MAX_FOLDERS:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        self._last += 1
        self._folders[item_id, self._last] = Descriptor(os.dup(found.fd))
        return found, self._last

    def returned(self, item_id: int, folder: int) -> None:
        """Take a folder back."""
        self._folders.pop((item_id, folder), None)

    def _found(self, item_id: int, folder: int, name: str) -> tuple[Descriptor, str]:
        """Return a lent folder and a name in it; raise for whatever is not the source, or in it."""
        is_name = name not in ("", ".", "..") and "/" not in name and "\0" not in name
        source = self._sources.get(item_id)
        is_source = folder == SOURCE and source is not None and os.fsencode(name) == source.name
        # Of an area as a whole, the name is none.
        if source is None or not (is_source or (is_name and folder != SOURCE)):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        if folder != SOURCE:
            return self._folder(item_id, folder), name
        if (item_id, SOURCE) not in self._folders:
            self._folders[item_id, SOURCE], real_name = self._entered(source)
            self._names[item_id] = os.fsdecode(real_name)
        return self._folders[item_id, SOURCE], self._names[item_id]

    def _folder(self, item_id: int, folder: int) -> Descriptor:
        if (item_id, folder) not in self._folders:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._folders[item_id, folder]
