"""What an answer represents: its length, kind, name and bytes."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from stager.callers.open_source import OpenSource
from stager.downloads.conditions import Validators
from stager.downloads.header_values import strong_tag, times_tag
from stager.downloads.pieces import FileRun, Piece
from stager.downloads.ranges import Span
from stager.errors import SourceChanged

BINARY = "application/octet-stream"
# How many bytes are still to be sent when a file is checked for the last time.
LAST_LOOK_BYTES = 64 * 1024


class Representation(Protocol):
    """Something that can be sent whole or in parts."""

    @property
    def source(self) -> OpenSource:
        """The file or directory that is sent."""

    @property
    def kind(self) -> str:
        """``file`` or ``directory``."""

    @property
    def file_count(self) -> int:
        """Number of files."""

    @property
    def size_bytes(self) -> int:
        """Length in bytes."""

    @property
    def media_type(self) -> str:
        """Media type."""

    @property
    def filename(self) -> bytes:
        """The name to save it under."""

    @property
    def validators(self) -> Validators:
        """The tags and the time that tell this state from others."""

    @property
    def checksum(self) -> str | None:
        """The Adler-32 of the whole, where it is known."""

    @property
    def content(self) -> bytes | None:
        """The whole content, where it is small and was read already."""

    def pieces(self, start: int, end: int) -> Iterator[Piece]:
        """Yield the bytes of a range; call it in a thread, since it may read a disk."""


@dataclass(frozen=True)
class FileRepresentation:
    """A file as it is."""

    source: OpenSource
    checksum: str | None
    content: bytes | None = None
    kind: str = "file"
    file_count: int = 1
    media_type: str = BINARY

    @property
    def size_bytes(self) -> int:
        """Length in bytes."""
        return self.source.size_bytes

    @property
    def filename(self) -> bytes:
        """The name to save it under."""
        return self.source.location.name

    @property
    def validators(self) -> Validators:
        """The tags and the time that tell this state from others, by the checksum or else by the times."""
        status, is_settled = self.source.status, self.source.is_settled
        modified = status.st_mtime_ns // 1_000_000_000
        by_times = times_tag("stat", self.source.fingerprint, is_settled=is_settled)
        if not self.checksum:
            return Validators(by_times, modified, is_settled)
        by_checksum = strong_tag(self.checksum, size_bytes=status.st_size, mtime_ns=status.st_mtime_ns)
        return Validators(by_checksum, modified, is_settled, other=by_times)

    def pieces(self, start: int, end: int) -> Iterator[Piece]:
        """Yield a range of the bytes; raise `SourceChanged` before the last if the file changed meanwhile."""
        if self.content is not None:
            yield self.content[start:end]
            return
        fd, display = self.source.descriptor.fd, self.source.location.display
        last = max(start, end - LAST_LOOK_BYTES)
        if last > start:
            yield FileRun(fd, start, last - start, display)
        now, before = os.fstat(fd), self.source.status
        if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise SourceChanged(display, "its size or time has changed")
        yield FileRun(fd, last, end - last, display)


class Parts:
    """Several parts of a representation, as one body.

    Notes
    -----
    ``multipart/byteranges``, RFC 9110, section 14.6.
    """

    def __init__(self, whole: Representation, spans: Sequence[Span]) -> None:
        self._whole, self._spans = whole, spans
        self._boundary = secrets.token_hex(16)

    @property
    def media_type(self) -> str:
        """The value of Content-Type."""
        return f"multipart/byteranges; boundary={self._boundary}"

    @property
    def size_bytes(self) -> int:
        """Length of the body, with what stands between the parts."""
        return sum(len(self._head(span)) + span.size_bytes for span in self._spans) + len(self._tail())

    def pieces(self) -> Iterator[Piece]:
        """Yield the body in pieces."""
        for span in self._spans:
            yield self._head(span)
            yield from self._whole.pieces(*span)
        yield self._tail()

    def _head(self, span: Span) -> bytes:
        of = span.content_range(self._whole.size_bytes)
        head = f"\r\n--{self._boundary}\r\nContent-Type: {self._whole.media_type}\r\nContent-Range: {of}\r\n\r\n"
        return head.encode("ascii")

    def _tail(self) -> bytes:
        return f"\r\n--{self._boundary}--\r\n".encode("ascii")
