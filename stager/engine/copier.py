"""One file after another of a product: cloned or copied, its checksum noted."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterable

from stager.checksums import text
from stager.engine.control import Control
from stager.engine.file import SMALL_BYTES, checksum_of, copy_content, copy_small, is_sparse, unchanged
from stager.engine.kernel import clone
from stager.engine.mapping import refused
from stager.errors import SourceChanged
from stager.models import ManifestEntry

# What a file system says that cannot clone, or not this file (ioctl_ficlone(2)).
_NO_CLONE = frozenset(
    {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM, errno.ETXTBSY}
)


class Copier:
    """Copies files and keeps the sums of the product that they make up.

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
        self._known = None if known is None else iter(known)
        self._on_file = on_file
        self._require_room = require_room
        self._may_clone = True
        self._manifest = hashlib.sha256()

    def copy(self, source: int, destination: int, *, status: os.stat_result, path: str) -> int:
        """Bring one file's content and times over and return its checksum; the product itself has no path."""
        paths = _join(self.source, path), _join(self.destination, path)
        size = status.st_size
        if self._may_clone and self._clone(source, destination, paths[1]):
            checksum = self._cloned_checksum(source, status=status, path=path, display=paths[0])
        elif size <= SMALL_BYTES and not is_sparse(status):
            checksum = copy_small(
                source=source,
                destination=destination,
                size_bytes=size,
                source_path=paths[0],
                destination_path=paths[1],
            )
            self.control.advance(size)
        else:
            checksum = copy_content(
                source=source, destination=destination, status=status, paths=paths, control=self.control
            )
        try:
            os.utime(destination, ns=(status.st_atime_ns, status.st_mtime_ns))
        except OSError as error:
            raise refused(error, paths[1]) from error
        return checksum

    def note(self, path: str, *, size_bytes: int, checksum: int) -> None:
        """Count a file that has arrived; its line in the manifest is ``adler32 size path``."""
        self.file_count += 1
        self.size_bytes += size_bytes
        self._manifest.update(f"{text(checksum)} {size_bytes} {path}\n".encode("utf-8", "surrogateescape"))
        if self._on_file:
            self._on_file(ManifestEntry(path=path, size_bytes=size_bytes, checksum=text(checksum)))
        self.control.advance(0, 1)

    @property
    def manifest_checksum(self) -> str:
        """SHA-256 over the manifest's lines, in hexadecimal."""
        return self._manifest.hexdigest()

    def known_checksum(self, path: str, size_bytes: int) -> int | None:
        """Return the next known checksum; at the first that is of another file, none is known any more."""
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
            self._may_clone = False
            self._require_room()
        return self._may_clone

    def _cloned_checksum(self, source: int, *, status: os.stat_result, path: str, display: str) -> int:
        if not unchanged(status, os.fstat(source)):
            raise SourceChanged(display, "its size or times are not what they were")
        checksum = self.known_checksum(path, status.st_size)
        if checksum is None:
            checksum = checksum_of(source, status, display, self.control)
            if not unchanged(status, os.fstat(source)):
                raise SourceChanged(display, "its size or times are not what they were")
        self.control.advance(status.st_size)
        return checksum


def _join(top: str, path: str) -> str:
    return f"{top}/{path}" if path else top
