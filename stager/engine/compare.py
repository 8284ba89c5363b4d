"""The comparison of a destination with what would be delivered."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from stager.checksums import EMPTY, Checksum, Hasher, hasher_for, text, update
from stager.engine.control import Control, unattended
from stager.engine.expected import require_checksum
from stager.engine.file_reading import BLOCK_BYTES, read_block
from stager.engine.mapping import unread, writing
from stager.engine.overlap import refuse_overlap
from stager.engine.source import READ, Source, inode, kind_in_words, opened
from stager.engine.survey import Survey, survey_opened
from stager.errors import SourceChanged
from stager.paths import Descriptor, Location, Symlinks, open_location
from stager.vocabulary import ManifestEntry


class Absent(Enum):
    """The result for a destination at which nothing is."""

    ABSENT = "absent"


class _Differs(Exception):
    """Raised at the first difference, to end the walk."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"{path or 'it'} {what}")


def compare(
    source: Location,
    destination: Location,
    *,
    survey: Survey,
    checksum: Checksum | None,
    on_file: Callable[[ManifestEntry], None] | None = None,
    control: Control | None = None,
) -> str | Absent | None:
    """Compare a product with its source: types, names, sizes and every byte. Nothing is touched.

    Times, modes and owners do not matter.

    Parameters
    ----------
    survey
        What the source was when it was looked at.
    checksum
        Of a file, as the request gives it: then the destination's bytes are
        compared with it too.
    on_file
        Called with each file that is equal, in the order of the names; a single file has its own as its path.

    Returns
    -------
    str, Absent or None
        The first difference in words, `Absent.ABSENT` where nothing is at the destination, None where they are equal.

    Raises
    ------
    SourceChanged, SourceError
        The source is not what was looked at, or cannot be read.
    OverlappingPaths
        The destination is the source, or one is in the other.
    DestinationError, StorageFault
        The destination cannot be read.
    """
    with opened(source) as found, writing(destination):
        try:
            parent = open_location(destination.parent, os.O_PATH | os.O_DIRECTORY, Symlinks.REFUSED)
            status = _status(parent, destination.name)
        except FileNotFoundError:
            return Absent.ABSENT
        with parent:
            refuse_overlap(found, parent=parent.fd, destination=destination, there=inode(status))
            hasher = hasher_for(checksum)
            comparing = _Comparing(found, on_file or (lambda _: None), control or unattended(), hasher)
            difference = _difference(found, _Place(parent.fd, destination.name, status), checksum, comparing)
        if survey_opened(found).fingerprint != survey.fingerprint:
            raise SourceChanged(source.display, "it is not what it was when it was checked")
        return difference


@dataclass(frozen=True, slots=True)
class _Place:
    directory: int
    name: bytes
    status: os.stat_result


def _status(directory: Descriptor, name: bytes) -> os.stat_result:
    return os.stat(name, dir_fd=directory.fd, follow_symlinks=False)


def _difference(source: Source, place: _Place, wanted: Checksum | None, comparing: _Comparing) -> str | None:
    try:
        _refuse_other_kind(source.status, place.status, "")
        found = comparing.compare_opened(source.content, place)
    except _Differs as difference:
        return str(difference)
    if found is not None:
        require_checksum(source.display, wanted, adler32=found, hasher=comparing.hasher)
    return None


def _refuse_other_kind(source: os.stat_result, destination: os.stat_result, path: str) -> None:
    if stat.S_IFMT(source.st_mode) != stat.S_IFMT(destination.st_mode):
        wanted = kind_in_words(source.st_mode)
        raise _Differs(path, f"is {kind_in_words(destination.st_mode)}, the source is {wanted}")
    if stat.S_ISREG(source.st_mode) and source.st_size != destination.st_size:
        raise _Differs(path, f"has {destination.st_size} bytes, the source has {source.st_size}")


class _Comparing:
    """One walk over both trees at once."""

    def __init__(
        self, source: Source, on_file: Callable[[ManifestEntry], None], control: Control, hasher: Hasher | None
    ) -> None:
        self._display, self._name = source.display, os.fsdecode(source.name)
        self._on_file = on_file
        self._control, self.hasher = control, hasher
        self._buffers = memoryview(bytearray(BLOCK_BYTES)), memoryview(bytearray(BLOCK_BYTES))

    def compare_opened(self, source: Descriptor, place: _Place, path: str = "") -> int | None:
        """Return the Adler-32 of two equal files, None of two equal directories."""
        with Descriptor(os.open(place.name, READ, dir_fd=place.directory)) as there:
            if inode(os.fstat(there.fd)) != inode(place.status):
                raise _Differs(path, "is being changed")
            if stat.S_ISDIR(place.status.st_mode):
                self._compare_directories(source, there.fd, path)
                return None
            return self._compare_files(source.fd, there.fd, path)

    def _compare_files(self, source: int, destination: int, path: str) -> int:
        size, position, checksum = os.fstat(source).st_size, 0, EMPTY
        while position < size:
            wanted = min(BLOCK_BYTES, size - position)
            read = read_block(source, self._buffers[0][:wanted], position, self._path(path))
            found = os.preadv(destination, [self._buffers[1][:read]], position)
            while 0 < found < read:
                more = os.preadv(destination, [self._buffers[1][found:read]], position + found)
                found += more or -found
            if found <= 0 or self._buffers[0][:read] != self._buffers[1][:read]:
                raise _Differs(path, f"differs from the source after byte {position}")
            checksum = update(self._buffers[0][:read], checksum)
            if self.hasher:
                self.hasher.update(self._buffers[0][:read])
            position += read
            self._control.advance(0)
        self._on_file(ManifestEntry(path=path or self._name, size_bytes=size, checksum=text(checksum)))
        return checksum

    def _compare_directories(self, source: Descriptor, destination: int, path: str) -> None:
        names = self._names(source.fd, path)
        theirs = sorted(os.listdir(destination))
        if names != theirs:
            first = min(set(names) ^ set(theirs))
            which = "is missing" if first in names else "is not in the source"
            raise _Differs(_below(path, first), which)
        for name in names:
            self._compare_entry(source, destination, name, _below(path, name))
            self._control.advance(0)

    def _compare_entry(self, source: Descriptor, destination: int, name: str, path: str) -> None:
        try:
            ours = source.status(name)
            target = source.link_text(name) if stat.S_ISLNK(ours.st_mode) else None
            opened_source = Descriptor(-1) if target else source.opened(name, READ)
        except OSError as error:
            raise unread(error, self._path(path)) from error
        with opened_source:
            theirs = os.stat(name, dir_fd=destination, follow_symlinks=False)
            _refuse_other_kind(ours, theirs, path)
            if target is None:
                self.compare_opened(opened_source, _Place(destination, os.fsencode(name), theirs), path)
            elif os.readlink(name, dir_fd=destination) != target:
                raise _Differs(path, "is a link to elsewhere than the source's")

    def _names(self, source: int, path: str) -> list[str]:
        try:
            return sorted(os.listdir(source))
        except OSError as error:
            raise unread(error, self._path(path)) from error

    def _path(self, path: str) -> str:
        return f"{self._display}/{path}" if path else self._display


def _below(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def link_target(destination: Location) -> bytes | Absent | None:
    """Return a symbolic link's text, None for anything else, `Absent.ABSENT` for nothing."""
    with writing(destination):
        try:
            with open_location(destination.parent, os.O_PATH | os.O_DIRECTORY, Symlinks.REFUSED) as parent:
                is_link = stat.S_ISLNK(_status(parent, destination.name).st_mode)
                return os.readlink(destination.name, dir_fd=parent.fd) if is_link else None
        except FileNotFoundError:
            return Absent.ABSENT


def is_same_file(source: Location, destination: Location) -> bool:
    """Tell whether the destination is a name of the source's very file (and not a symbolic link to it)."""
    with opened(source) as found, writing(destination):
        try:
            with open_location(destination.parent, os.O_PATH | os.O_DIRECTORY, Symlinks.REFUSED) as parent:
                return inode(_status(parent, destination.name)) == inode(found.status)
        except FileNotFoundError:
            return False
