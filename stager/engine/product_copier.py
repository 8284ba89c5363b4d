"""The copier of a product's files, each cloned or copied, and its checksum taken."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterable

from stager.checksums import Hasher, text
from stager.engine.control import Control
from stager.engine.copy_file import copy_content
from stager.engine.file_reading import checksum_of
from stager.engine.mapping import refused, unread
from stager.errors import CorruptedInTransfer, SourceChanged, StagingError
from stager.file_status import unchanged
from stager.slices.copying import SMALL_BYTES, CopyTerms, Unread, Unwritten, clone, copy_small, is_sparse, settle
from stager.vocabulary import ManifestEntry

# Errors of a file system that cannot clone, or not this file (ioctl_ficlone(2)).
_NO_CLONE = frozenset(
    {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM, errno.ETXTBSY}
)


class Copier:
    """Copies the files of a product, and keeps its totals and its checksum.

    Parameters
    ----------
    source, destination
        Paths of the product, for messages.
    known
        Checksums of these very files, in this order, or None.
    on_file
        Gets each file's entry, or None.
    require_room
        Called once, as soon as it is known that blocks cannot be shared; may raise.
    """

    def __init__(
        self,
        *,
        source: str,
        destination: str,
        known: Iterable[ManifestEntry] | None,
        on_file: Callable[[ManifestEntry], None] | None,
        require_room: Callable[[], None],
        control: Control,
    ) -> None:
        self.source, self.destination, self.control = source, destination, control
        self.size_bytes = self.file_count = 0
        self.is_sharing: bool | None = None
        self._known = None if known is None else iter(known)
        self._on_file = on_file
        self._require_room = require_room
        self._manifest = hashlib.sha256()

    def copy(
        self, source: int, destination: int, *, status: os.stat_result, path: str, hasher: Hasher | None = None
    ) -> int:
        """Copy one file's content and return its Adler-32; the product itself has an empty path."""
        paths = _join(self.source, path), _join(self.destination, path)
        if self.is_sharing is not False and self._clone(source, destination, paths[1]):
            checksum = self.cloned_checksum(source, status=status, path=path, hasher=hasher)
            self.control.advance(status.st_size)
            return checksum
        if hasher or status.st_size > SMALL_BYTES or is_sparse(status):
            return copy_content(
                source=source,
                destination=destination,
                status=status,
                paths=paths,
                control=self.control,
                hasher=hasher,
            )
        try:
            checksum = copy_small(source, destination, status.st_size)
        except (Unread, Unwritten) as error:
            raise self.failure(error, path) from error
        self.control.advance(status.st_size)
        return checksum

    def failure(self, error: Unread | Unwritten, path: str) -> StagingError:
        """Return the error for a small file that could not be copied, naming it."""
        if isinstance(error, Unwritten):
            return refused(error.error, _join(self.destination, path))
        if error.error is None:
            return SourceChanged(_join(self.source, path), "its size has changed")
        return unread(error.error, _join(self.source, path))

    def settle(self, destination: int, *, status: os.stat_result, terms: CopyTerms, path: str) -> os.stat_result:
        """Give an open copy its mode and times, check its size, and return its status."""
        display = _join(self.destination, path)
        try:
            arrived = settle(destination, status, terms)
        except Unwritten as error:
            raise self.failure(error, path) from error
        if arrived.st_size != status.st_size:
            raise CorruptedInTransfer(display, f"{arrived.st_size} bytes arrived of {status.st_size}")
        return arrived

    def note(self, files: list[tuple[str, int, int]], *, advanced: int = 0) -> None:
        """Add files that arrived: path, size and checksum; so many of their bytes are new progress."""
        self.file_count += len(files)
        self.size_bytes += sum(size for _, size, _ in files)
        lines = "".join([f"{checksum:08x} {size} {path}\n" for path, size, checksum in files])
        self._manifest.update(lines.encode("utf-8", "surrogateescape"))
        if self._on_file:
            for path, size, checksum in files:
                self._on_file(ManifestEntry(path=path, size_bytes=size, checksum=text(checksum)))
        self.control.advance(advanced, len(files))

    def note_alone(self, name: str, size_bytes: int, checksum: str) -> None:
        """Report the file that the product itself is."""
        if self._on_file:
            self._on_file(ManifestEntry(path=name, size_bytes=size_bytes, checksum=checksum))
        self.control.advance(0, 1)

    @property
    def manifest_checksum(self) -> str:
        """The SHA-256 over the manifest's lines, in hexadecimal."""
        return self._manifest.hexdigest()

    @property
    def has_known(self) -> bool:
        """Whether all checksums that were asked for so far were known."""
        return self._known is not None

    def known_checksum(self, path: str, size_bytes: int) -> int | None:
        """Return the next known checksum; from the first that is of another file on, none is known."""
        entry = next(self._known, None) if self._known else None
        if entry is None or entry.size_bytes != size_bytes or path not in ("", entry.path):
            self._known = None
            return None
        return int(entry.checksum, 16)

    def _clone(self, source: int, destination: int, display: str) -> bool:
        try:
            clone(destination, source)
        except OSError as error:
            if error.errno not in _NO_CLONE:
                raise refused(error, display) from error
            self.is_sharing = False
            self._require_room()
            return False
        self.is_sharing = True
        return True

    def cloned_checksum(self, source: int, *, status: os.stat_result, path: str, hasher: Hasher | None = None) -> int:
        """Return the Adler-32 of a cloned file: the known one, or by reading it now."""
        display = _join(self.source, path)
        if not unchanged(status, os.fstat(source)):
            raise SourceChanged(display, "its size or times have changed")
        checksum = self.known_checksum(path, status.st_size)
        if hasher or checksum is None:
            checksum = checksum_of(source, status, display, self.control, hasher)
            if not unchanged(status, os.fstat(source)):
                raise SourceChanged(display, "its size or times have changed")
        return checksum


def _join(top: str, path: str) -> str:
    return f"{top}/{path}" if path else top
