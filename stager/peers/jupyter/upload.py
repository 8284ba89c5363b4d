"""One file gets to a notebook server: in pieces, under a name that is not its own yet, and checked there."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from stager.checksums import SHA256, Checksum, ChecksumAlgorithm, Sums
from stager.errors import (
    DestinationTampered,
    PeerBodyLimit,
    PeerFault,
    PeerStalled,
    SourceChanged,
    StagingError,
    source_error,
)
from stager.file_status import unchanged
from stager.peers.jupyter.contents import Contents
from stager.peers.jupyter.entry import Entry

# What is read, encoded and sent at a time: base64 of a multiple of three bytes can be put together.
_BLOCK_BYTES = 3 << 18
# What is sent at once where 4 MiB are too much: with base64's third more it is less than the 1 MiB that proxies
# before a hub take (nginx's client_max_body_size).
SMALL_PIECE_BYTES = 700 << 10


@dataclass(frozen=True, kw_only=True)
class Uploaded:
    """A file that is at a notebook server under its temporary name.

    Attributes
    ----------
    is_verified
        Whether the server has told the same SHA-256; else it knows none, and only the size is the same.
    checksums
        Of what was sent, by their algorithms.
    last_modified
        When the server says that it was written.
    """

    path: str
    size_bytes: int
    sha256: str
    is_verified: bool
    checksums: Mapping[ChecksumAlgorithm, Checksum] = field(default_factory=dict)
    last_modified: str | None = None


@dataclass(kw_only=True)
class _Source:
    """An open file on its way, its checksums as far as it was read, and how many bytes have arrived."""

    descriptor: int
    name: str
    size_bytes: int
    on_bytes: Callable[[int], None]
    sums: Sums
    arrived: int = 0

    def blocks(self, start: int, end: int) -> Iterator[bytes]:
        """Yield a part of it."""
        while start < end:
            block = self._read(start, min(_BLOCK_BYTES, end - start))
            self.sums.update(block)
            yield block
            start += len(block)

    def _read(self, start: int, count: int) -> bytes:
        block = b""
        while len(block) < count:  # a storage may give less than was asked for
            try:
                read = os.pread(self.descriptor, count - len(block), start + len(block))
            except OSError as error:
                raise source_error(error, self.name) from error
            if not read:
                raise SourceChanged(self.name, "it became shorter")
            block += read
        return block


def upload(
    contents: Contents,
    descriptor: int,
    path: str,
    *,
    source_name: str,
    on_bytes: Callable[[int], None],
    algorithms: Sequence[ChecksumAlgorithm] = (),
) -> Uploaded:
    """Bring an open file to a path that nobody else uses, and verify it there.

    It always begins with the first byte: the contents API knows no offsets, and
    a piece that comes twice is in the file twice. So after any error the same is
    to be done again as a whole, or the path deleted. What is held in memory at a time
    does not depend on the file's size.

    Parameters
    ----------
    descriptor
        Open for reading; neither its position nor the file's own path is used.
    path
        Its temporary name, in a directory that exists.
    source_name
        What the file is called in messages.
    on_bytes
        Called with the length of each piece that has arrived; what it raises ends the upload.
    algorithms
        Of checksums that are taken besides the SHA-256 and the Adler-32.

    Raises
    ------
    NameNotTaken
        The server takes no such name; nothing was sent.
    SourceChanged, StorageFault
        The file is not what it was at the beginning, or cannot be read.
    DestinationTampered
        What is at the path is not what was sent.
    PeerBodyLimit
        Even small pieces are too much.
    StagingError
        As by `Contents`.

    Notes
    -----
    ``chunk`` of Jupyter Server's ``LargeFileManager``: 1 begins the file, 2 and so
    on are added to it, -1 is the last.
    """
    status = os.fstat(descriptor)
    source = _Source(
        descriptor=descriptor,
        name=source_name,
        size_bytes=status.st_size,
        on_bytes=on_bytes,
        sums=Sums(SHA256, *algorithms),
    )
    try:
        uploaded = _send(contents, source, path, contents.piece_bytes)
    except (PeerBodyLimit, PeerFault):  # whoever takes no large body says so, or hangs up
        if source.arrived or min(status.st_size, contents.piece_bytes) <= SMALL_PIECE_BYTES:
            raise
        source.sums = Sums(SHA256, *algorithms)
        uploaded = _send(contents, source, path, SMALL_PIECE_BYTES)
        contents.piece_bytes = SMALL_PIECE_BYTES
    if not unchanged(status, os.fstat(descriptor)):
        raise SourceChanged(source_name, "its size or times are not what they were")
    return uploaded


def publish(contents: Contents, uploaded: Uploaded, to: str) -> None:
    """Give an uploaded file its final name, where nothing has that.

    Raises
    ------
    DestinationExists
        Something has it; that was not touched.
    DestinationTampered
        The file is gone, or is not what was uploaded.
    PeerFault, PeerStalled
        The answer was lost, and it cannot be told whether the file has its name.
    StagingError
        As by `Contents`.
    """
    found = contents.look(uploaded.path)
    if found is None:
        raise DestinationTampered(uploaded.path, "it is gone")
    check(uploaded, found, uploaded.path)
    try:
        entry = contents.rename(uploaded.path, to)
    except (PeerFault, PeerStalled):  # it may have been done all the same
        found = contents.look_with_checksum(to, size_bytes=uploaded.size_bytes)
        # By its checksum alone a file is known to be ours.
        if found is None or found.sha256 is None or contents.look(uploaded.path) is not None:
            raise
        entry = found
    try:
        check(uploaded, entry, to)
    except DestinationTampered:
        with suppress(StagingError):  # what is not ours has no place there
            contents.rename(to, uploaded.path)
        raise


def _send(contents: Contents, source: _Source, path: str, piece_bytes: int) -> Uploaded:
    size = source.size_bytes
    starts = range(0, max(size, 1), piece_bytes)
    for number, start in enumerate(starts, start=1):
        end = min(start + piece_bytes, size)
        chunk = None if len(starts) == 1 else -1 if end == size else number
        _check_size(path, _put(contents, source, path, start=start, end=end, chunk=chunk), start=start, end=end)
        source.arrived = end
        source.on_bytes(end - start)
    checksums = source.sums.checksums
    sent = Uploaded(path=path, size_bytes=size, sha256=checksums[SHA256].value, is_verified=False, checksums=checksums)
    entry = contents.look_with_checksum(path, size_bytes=size)
    if entry is None:
        raise DestinationTampered(path, "it is gone")
    check(sent, entry, path)
    return replace(sent, is_verified=entry.sha256 is not None, last_modified=entry.last_modified)


def _put(contents: Contents, source: _Source, path: str, *, start: int, end: int, chunk: int | None) -> int | None:
    head = b'{"type":"file","format":"base64",' + (b"" if chunk is None else b'"chunk":%d,' % chunk) + b'"content":"'
    tail = b'"}'

    def body() -> Iterator[bytes]:
        yield head
        yield from map(b64encode, source.blocks(start, end))
        yield tail

    encoded = (end - start + 2) // 3 * 4
    return contents.put(path, body(), body_bytes=len(head) + encoded + len(tail)).size_bytes


def _check_size(path: str, arrived: int | None, *, start: int, end: int) -> None:
    if arrived == end:
        return
    if start and arrived == end - start:
        reason = "it has the last piece alone: somebody removed it meanwhile, or the server knows no pieces of files"
        raise DestinationTampered(path, reason)
    raise DestinationTampered(path, f"it has {arrived} bytes there, and {end} were sent")


def check(sent: Uploaded, entry: Entry, path: str) -> None:
    """Raise `DestinationTampered` if what a server describes is not what was sent."""
    if entry.size_bytes != sent.size_bytes:
        raise DestinationTampered(path, f"it has {entry.size_bytes} bytes, and {sent.size_bytes} were sent")
    if entry.sha256 and entry.sha256 != sent.sha256:
        raise DestinationTampered(path, "it has another content than what was sent")
    if sent.last_modified and entry.last_modified != sent.last_modified:
        raise DestinationTampered(path, "it was written after it had arrived")
