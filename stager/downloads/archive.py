"""Directories as archives, made while they are sent: the same bytes each time, so that parts can be asked for."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from stager.callers.open_source import OpenSource, is_settled
from stager.downloads.conditions import Validators
from stager.downloads.header_values import times_tag
from stager.downloads.pieces import Piece, cut
from stager.engine.fingerprint import Contents
from stager.engine.mapping import unread
from stager.engine.source import READ, READ_DIRECTORY, refuse_special
from stager.engine.symlinks import refuse_leading_out
from stager.engine.walk import refuse_too_deep
from stager.errors import SourceChanged
from stager.paths import Descriptor
from stager.slices.looking import facts


@dataclass(frozen=True, slots=True)
class ArchiveEntry:
    """A file, directory or link in an archive; ``path`` begins with the name of the archived directory."""

    path: str
    status: os.stat_result
    link: str
    open: Callable[[], Descriptor]


class ArchiveFormat(Protocol):
    """An archive format, for the archive of one directory."""

    def size_of(self, entry: ArchiveEntry) -> int:
        """Return the length of an entry in the archive; it is asked for each entry once, in order."""

    def size_of_end(self) -> int:
        """Return the length of what follows the last entry."""

    def pieces(self, entries: Iterator[ArchiveEntry]) -> Iterator[Piece]:
        """Yield the archive in pieces."""


def walk(source: OpenSource) -> Iterator[ArchiveEntry]:
    """Yield a directory and all in it, sorted by name; an entry can be opened until the next is asked for.

    Each step is done with the rights that the thread has which asks for it.

    Raises
    ------
    UnsupportedFileType, SymlinkLeadsOut
        Something in it cannot be sent; named.
    SourceChanged, SourceUnreadable
        Something in it vanished meanwhile, or may not be read.
    """
    name = os.fsdecode(source.location.name)
    top = source.descriptor.fd
    yield ArchiveEntry(name, os.fstat(top), "", _no_content)
    yield from _walk(source, top, name)


def _walk(source: OpenSource, directory: int, prefix: str) -> Iterator[ArchiveEntry]:
    display = source.location.parent.display
    refuse_too_deep(display, prefix)
    path = prefix
    try:
        for name in sorted(os.listdir(directory), key=os.fsencode):
            path = f"{prefix}/{name}"
            entry = _entry(source, directory, name, path)
            yield entry
            if stat.S_ISDIR(entry.status.st_mode):
                with Descriptor(os.open(name, READ_DIRECTORY, dir_fd=directory)) as inner:
                    yield from _walk(source, inner.fd, path)
    except OSError as error:
        raise unread(error, f"{display}/{path}") from error


def _entry(source: OpenSource, directory: int, name: str, path: str) -> ArchiveEntry:
    display = source.location.parent.display
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    refuse_special(status, f"{display}/{path}")
    link = ""
    if stat.S_ISLNK(status.st_mode):
        link = os.readlink(name, dir_fd=directory)
        within = path.partition("/")[2]
        refuse_leading_out(source.descriptor.fd, link=within, target=link, display=source.location.display)
    return ArchiveEntry(path, status, link, lambda: _open(directory, name, f"{display}/{path}"))


def _open(directory: int, name: str, display: str) -> Descriptor:
    try:
        return Descriptor(os.open(name, READ, dir_fd=directory))
    except OSError as error:
        raise unread(error, display) from error


def _no_content() -> Descriptor:
    raise IsADirectoryError


class ArchiveRepresentation:
    """A directory as an archive; it is walked once for its length, and again while it is sent."""

    kind = "directory"
    checksum: str | None = None
    content: bytes | None = None

    def __init__(
        self, source: OpenSource, make: Callable[[], ArchiveFormat], *, media_type: str, ending: bytes
    ) -> None:
        self.source = source
        self.media_type = media_type
        self.filename = source.location.name + ending
        self._make = make

    @cached_property
    def _survey(self) -> tuple[int, int, str, int, bool]:
        """Return the length, the files, the hash of all entries, their last time in ns, and whether it is settled."""
        layout, size, files, newest, settled = self._make(), 0, 0, 0, True
        seen = Contents()
        for entry in walk(self.source):
            size += layout.size_of(entry)
            if stat.S_ISREG(entry.status.st_mode):
                files += 1
                entry.open().close()  # what may not be read is told before the first byte
            newest = max(newest, entry.status.st_mtime_ns, entry.status.st_ctime_ns)
            settled = settled and is_settled(entry.status)
            seen.add(entry.path, facts(entry.status), entry.link)
        fingerprint = seen.closed_with(os.fstat(self.source.descriptor.fd))
        return size + layout.size_of_end(), files, fingerprint, newest, settled

    def surveyed(self) -> ArchiveRepresentation:
        """Return the archive once its length is known; call it in a thread, since it walks the directory."""
        self._survey  # noqa: B018 - worked out here, kept for those who ask in the event loop
        return self

    @property
    def size_bytes(self) -> int:
        """Length in bytes."""
        return self._survey[0]

    @property
    def file_count(self) -> int:
        """Number of files."""
        return self._survey[1]

    @property
    def validators(self) -> Validators:
        """The tags that tell this state from others, by what stat(2) says of everything in the directory."""
        _, _, seen, newest, settled = self._survey
        tag = times_tag(self.media_type.rpartition("/")[2], seen, is_settled=settled)
        return Validators(tag, newest // 1_000_000_000, settled)

    def pieces(self, start: int, end: int) -> Iterator[Piece]:
        """Yield a range of the bytes; raise `SourceChanged` before the end if something changed meanwhile."""
        yield from cut(self._make().pieces(self._watched()), start, end)

    def _watched(self) -> Iterator[ArchiveEntry]:
        seen = Contents()
        with ExitStack() as stack:
            entries = walk(self.source)
            stack.callback(entries.close)  # type: ignore[attr-defined] # a generator has it
            for entry in entries:
                seen.add(entry.path, facts(entry.status), entry.link)
                yield entry
        if seen.closed_with(os.fstat(self.source.descriptor.fd)) != self._survey[2]:
            raise SourceChanged(self.source.location.display, "something in it has changed")
