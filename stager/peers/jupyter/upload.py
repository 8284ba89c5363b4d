"""One file gets to a notebook server: in pieces, under a name that is not its own yet, and checked there."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from stager.checksums import SHA256, Checksum, ChecksumAlgorithm
from stager.errors import DestinationTampered, PeerBodyLimit, PeerFault, PeerStalled, StagingError
from stager.peers.jupyter.by_kernel import look_with_checksum
from stager.peers.jupyter.contents import Contents
from stager.peers.jupyter.entry import Entry
from stager.peers.open_source import OpenSource

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
    modified_ns
        When a kernel of it says so, in nanoseconds since 1970.
    """

    path: str
    size_bytes: int
    sha256: str
    is_verified: bool
    checksums: Mapping[ChecksumAlgorithm, Checksum] = field(default_factory=dict)
    last_modified: str | None = None
    modified_ns: int | None = None


def upload(
    contents: Contents,
    descriptor: int,
    path: str,
    *,
    source_name: str,
    on_bytes: Callable[[int], None],
    algorithms: Sequence[ChecksumAlgorithm] = (),
    look: Callable[..., Entry | None] = look_with_checksum,
) -> Uploaded:
    """Bring an open file to a path that nobody else uses, and verify it there.

    It always begins with the first byte: the contents API knows no offsets, and
    a piece that comes twice is in the file twice. So after any error the same is
    to be done again as a whole, or the path deleted. What is held in memory at a time
    does not depend on the file's size.

    Parameters
    ----------
    descriptor, source_name, algorithms
        As of an `OpenSource`.
    path
        Its temporary name, in a directory that exists.
    on_bytes
        Called with the length of each piece that has arrived; what it raises ends the upload.
    look
        Tells what is at the path then, with its SHA-256.

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
    """
    source, arrived = OpenSource(descriptor, source_name, algorithms), 0

    def count(piece_bytes: int) -> None:
        nonlocal arrived
        arrived += piece_bytes
        on_bytes(piece_bytes)

    try:
        _send(contents, source, path, piece_bytes=contents.piece_bytes, on_bytes=count)
    except (PeerBodyLimit, PeerFault):  # whoever takes no large body says so, or hangs up
        if arrived or min(source.size_bytes, contents.piece_bytes) <= SMALL_PIECE_BYTES:
            raise
        source.begin()
        _send(contents, source, path, piece_bytes=SMALL_PIECE_BYTES, on_bytes=on_bytes)
        contents.piece_bytes = SMALL_PIECE_BYTES
    source.require_unchanged()
    sent = sent_as(path, source)
    return verified(sent, look(contents, path, size_bytes=source.size_bytes))


def sent_as(path: str, source: OpenSource) -> Uploaded:
    """Return what a source that was sent whole is at its path, if it is there."""
    sums = source.sums.checksums
    size = source.size_bytes
    return Uploaded(path=path, size_bytes=size, sha256=sums[SHA256].value, is_verified=False, checksums=sums)


def verified(sent: Uploaded, entry: Entry | None) -> Uploaded:
    """Return what was sent with what the server tells of it; raise `DestinationTampered` if it is something else."""
    if entry is None:
        raise DestinationTampered(sent.path, "it is gone")
    check(sent, entry, sent.path)
    return replace(
        sent,
        is_verified=entry.sha256 is not None,
        last_modified=entry.last_modified,
        modified_ns=entry.modified_ns,
    )


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
        found = look_with_checksum(contents, to, size_bytes=uploaded.size_bytes)
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


def _send(
    contents: Contents, source: OpenSource, path: str, *, piece_bytes: int, on_bytes: Callable[[int], None]
) -> None:
    """Send a file in pieces.

    Notes
    -----
    ``chunk`` of Jupyter Server's ``LargeFileManager``: 1 begins the file, 2 and so
    on are added to it, -1 is the last.
    """
    size = source.size_bytes
    starts = range(0, max(size, 1), piece_bytes)
    for number, start in enumerate(starts, start=1):
        end = min(start + piece_bytes, size)
        chunk = None if len(starts) == 1 else -1 if end == size else number
        _check_size(path, _put(contents, source, path, start=start, end=end, chunk=chunk), start=start, end=end)
        on_bytes(end - start)


def _put(contents: Contents, source: OpenSource, path: str, *, start: int, end: int, chunk: int | None) -> int | None:
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
