"""Staged products, which lie beside their destination under a temporary name until they are published or discarded."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Literal

from stager.engine.fingerprint import Contents
from stager.engine.mapping import writing
from stager.engine.removal import remove
from stager.engine.source import Inode, inode
from stager.engine.staging_folder import NOWHERE, StagingFolder, folder_for
from stager.errors import DestinationNotWritable, DestinationReadOnly, InvalidPath
from stager.paths import RESERVED_PREFIX, Descriptor, Location, Symlinks, open_location

_READ_ONLY = "is read-only, as delivered directories are: chmod u+w it first, or name another destination"


@dataclass(frozen=True, kw_only=True)
class Modes:
    """The permission bits of delivered files and directories, and of folders made on the way to them.

    All that is staged is the running account's: the user's.
    """

    file: int
    directory: int
    folder: int


@dataclass(eq=False, kw_only=True)
class Staged:
    """A product under a temporary name in a folder, whose lock shows that its owner is alive.

    One that nobody holds any more is discarded.
    """

    destination: Location
    modes: Modes
    name: bytes = b""
    kind: Literal["file", "directory", "symlink"] = "file"
    is_shared: bool = False
    folder: StagingFolder = NOWHERE
    made: list[Location] = field(default_factory=list)
    inode: Inode | None = None
    previous: Inode | None = None
    size_bytes: int = 0
    file_count: int = 0
    checksum: str | None = None
    sealed: os.stat_result | None = None
    contents: Contents | None = None

    @property
    def parent(self) -> Descriptor:
        """The destination's folder, open; closed once this is published or discarded."""
        return self.folder.opened

    def status(self, name: bytes) -> os.stat_result | None:
        """Return the status of a name in the destination's folder; None where nothing has it."""
        try:
            return os.stat(name, dir_fd=self.parent.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def __del__(self) -> None:
        with suppress(OSError, AttributeError, TypeError):  # at the interpreter's end
            discard(self)


@contextmanager
def staging(destination: Location, modes: Modes) -> Iterator[Staged]:
    """Yield a locked temporary name beside a destination; an error in the body leaves nothing of it."""
    if any(part.startswith(RESERVED_PREFIX) for part in destination.parts):
        raise InvalidPath(destination.display, f"names that begin with {RESERVED_PREFIX.decode()} are reserved")
    staged = Staged(destination=destination, modes=modes)
    try:
        with writing(destination):
            _open(staged)
        yield staged
    except BaseException as error:
        discard(staged)
        if isinstance(error, DestinationNotWritable):
            _refuse_read_only(destination)
        raise


def _refuse_read_only(destination: Location) -> None:
    """Raise `DestinationReadOnly` if the deepest existing folder on the way is this account's, and read-only."""
    for depth in range(len(destination.parts) - 1, 0, -1):
        folder = replace(destination, parts=destination.parts[:depth])
        with suppress(OSError), open_location(folder, os.O_PATH | os.O_DIRECTORY, Symlinks.REFUSED) as opened:
            status = os.fstat(opened.fd)
            if status.st_uid == os.geteuid() and not status.st_mode & stat.S_IWUSR:
                raise DestinationReadOnly(destination.display, f"{folder.display} {_READ_ONLY}")
            return


def _open(staged: Staged) -> None:
    staged.folder = folder_for(staged.destination, mode=staged.modes.folder, made=staged.made)
    found = staged.status(staged.destination.name)
    staged.previous = None if found is None else inode(found)
    staged.name = staged.folder.take_name(staged.destination)


def discard(staged: Staged) -> None:
    """Remove what was not published: the temporary name, the lock, and new folders that are still empty.

    A second time, or after `publish`, it does nothing. What the disk refuses
    to remove is left to the next sweep. Items that made folders for each
    other are discarded last to first.
    """
    if staged.parent.fd >= 0:
        if staged.name:
            _remove_temporary(staged)
        close(staged)
    while staged.made:
        place = staged.made.pop()
        with suppress(OSError), open_location(place.parent, os.O_PATH | os.O_DIRECTORY, Symlinks.REFUSED) as parent:
            os.rmdir(place.name, dir_fd=parent.fd)


def _remove_temporary(staged: Staged) -> None:
    with suppress(OSError):
        found = staged.status(staged.name)
        if found and (staged.inode is None or inode(found) in (staged.inode, staged.previous)):
            remove_any(staged, staged.name)


def remove_any(staged: Staged, name: bytes) -> None:
    """Remove a name beside the destination; a link to the source is only unlinked."""
    if staged.is_shared:
        os.unlink(name, dir_fd=staged.parent.fd)
    else:
        remove(staged.parent.fd, name)


def close(staged: Staged) -> None:
    """Give the temporary name back, and the folder; the folder's lock goes with its last name. Repeatable."""
    folder, staged.folder = staged.folder, NOWHERE
    if folder is not NOWHERE:
        folder.give_back(staged.name)
