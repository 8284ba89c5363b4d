"""Listings of folders in storage areas: a page at a time, sorted by the names' bytes."""

from __future__ import annotations

import base64
import binascii
import os
import stat
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock

from cachetools import LRUCache

from stager.callers.area_reading import AreaAccess
from stager.callers.open_source import is_settled
from stager.engine.source import kind_in_words
from stager.errors import InvalidPath, SourceError
from stager.paths import Descriptor, Location, names_in, open_location

# How many folders' names are cached between two pages, and how many names they may have together.
KEPT_FOLDERS, LARGE, LARGEST_KEPT = 4, 1000, 200_000
_kept: LRUCache[tuple[int, ...], list[bytes]] = LRUCache(KEPT_FOLDERS)
_keeping = Lock()
_KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}


@dataclass(frozen=True)
class FolderEntry:
    """A file, directory or link in a folder; a link is not followed."""

    name: str
    kind: str
    size_bytes: int
    modified_at: datetime


@dataclass(frozen=True)
class Listing:
    """Some of a folder's entries, and the cursor of the next ones."""

    entries: list[FolderEntry]
    next_cursor: str | None


def list_folder(access: AreaAccess, root: Descriptor, path: str, *, cursor: str | None, limit: int) -> Listing:
    """Return a page of a folder's entries; only these are looked at, with the rights of the calling thread.

    Parameters
    ----------
    root
        What the paths are beneath, open.
    path
        The folder; empty for the area itself, or the user's folder.
    cursor
        The previous page's. What was there all the time is on one page, once.

    Raises
    ------
    InvalidPath, PathOutsideArea
        The path says nothing, or leads out of a shared area; or the cursor is none.
    SourceNotFound, SourceUnreadable, SourceError
        There is no such folder, it may not be read, or it is no folder.
    """
    after = _name_of(cursor) if cursor else b""
    location = access.locate(path, root) if names_in(path) else Location(access.root, (), root)
    with _open(access, location) as folder:
        try:
            names = _sorted_names(folder.fd)
            start = bisect_right(names, after)
            page = names[start : start + limit]
            entries = [listed for name in page for listed in _look(folder.fd, name)]
        except OSError as error:
            raise access.error(error, location) from error
    return Listing(entries, _cursor_of(page[-1]) if start + limit < len(names) else None)


def _open(access: AreaAccess, location: Location) -> Descriptor:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK
    try:
        return open_location(location, flags, access.symlinks)
    except NotADirectoryError as error:
        raise SourceError(location.display, "it is not a directory") from error
    except OSError as error:
        raise access.error(error, location) from error


def _sorted_names(folder: int) -> list[bytes]:
    """Return the sorted names in a folder; those of a large one are cached for its next page until it changes."""
    status = os.fstat(folder)
    version = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
    with _keeping:
        kept = _kept.get(version)
    if kept is not None:
        return kept
    # By the descriptor, which gives text: PEP 383 brings the bytes back.
    names = sorted(map(os.fsencode, os.listdir(folder)))
    if LARGE <= len(names) <= LARGEST_KEPT and is_settled(status):
        with _keeping:
            _kept[version] = names
    return names


def _look(folder: int, name: bytes) -> Iterator[FolderEntry]:
    with suppress(FileNotFoundError):  # removed meanwhile
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), kind_in_words(status.st_mode).removeprefix("a "))
        yield FolderEntry(os.fsdecode(name), kind, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _cursor_of(name: bytes) -> str:
    return base64.urlsafe_b64encode(name).decode("ascii")


def _name_of(cursor: str) -> bytes:
    try:
        return base64.b64decode(cursor, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidPath(cursor, "it is not the cursor of a page") from error
