"""Publication: what is staged gets its name, by one rename."""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from stager.checksums import ADLER32, SHA256, ChecksumAlgorithm
from stager.engine.fingerprint import fingerprint_at
from stager.engine.kernel import syncfs
from stager.engine.mapping import writing
from stager.engine.removal import refuse_irremovable
from stager.engine.rename import exchange, move
from stager.engine.source import READ, inode
from stager.engine.staged import Staged, close, remove_any
from stager.errors import DestinationDiffers, DestinationTampered
from stager.paths import Descriptor, Symlinks, open_location


@dataclass(frozen=True, kw_only=True)
class Published:
    """What is at the destination now; `fingerprint` returns this ``fingerprint`` as long as it is untouched.

    ``left_writable`` says why it is not read-only, and ``left_unverified`` why of
    some of its bytes only their number is known to be right, where the place has no
    way to that which always works.
    """

    kind: Literal["file", "directory", "symlink"]
    size_bytes: int
    file_count: int
    checksum: str | None
    checksum_algorithm: ChecksumAlgorithm | None
    fingerprint: str
    left_writable: str | None = None
    left_unverified: str | None = None


def flush(staged: Iterable[Staged]) -> None:
    """Make what is staged durable: one file by fsync(2), more by one syncfs(2) for each file system.

    Raises
    ------
    StorageFault, NoSpace
        The disk did not take it.
    """
    systems: dict[int, list[Staged]] = defaultdict(list)
    for one in staged:
        with writing(one.destination.display):
            systems[os.fstat(one.parent.fd).st_dev].append(one)
    for together in systems.values():
        first = together[0]
        with writing(first.destination.display):
            if len(together) == 1 and first.kind == "file" and not first.is_shared:
                with Descriptor(os.open(first.name, READ, dir_fd=first.parent.fd)) as content:
                    os.fsync(content.fd)
            else:
                syncfs(first.parent.fd)


def publish(staged: Staged, *, replace: bool, confirm: Callable[[], None]) -> Published:
    """Give what was sealed its final name, in one step and durably.

    Until it is durable any error, also one that a signal raises, takes it
    back: the destination is as before, and `discard` does the rest.

    Parameters
    ----------
    replace
        Exchange it at once with what was at the destination when the
        transfer began; the old is removed afterwards.
    confirm
        Called right before the rename. What it raises (`LeaseLost`) stops it.

    Raises
    ------
    DestinationDiffers
        Something is there, or something else than there was.
    DestinationTampered
        The temporary name, or the way to the destination, is not what it was.
    DestinationNotWritable
        What is to be replaced holds somebody else's things, or the file
        system cannot exchange directories at once.
    NoSpace, StorageFault
        As the file system says.

    Notes
    -----
    renameat2(2) with RENAME_NOREPLACE, or RENAME_EXCHANGE. Where a file system
    has neither (NFS), see `stager.engine.rename`.
    """
    display = staged.destination.display
    try:
        with writing(display):
            _refuse_tampered(staged)
            confirm()
            _rename(staged, replace=replace)
            _refuse_moved(staged)
            _sync_names(staged)
            published = _published(staged)
    except BaseException:
        with suppress(OSError):
            withdraw(staged)
        raise
    staged.made.clear()
    _remove_replaced(staged)
    close(staged)
    return published


def _refuse_tampered(staged: Staged) -> None:
    """Check that the temporary name is unchanged since it was sealed."""
    found, sealed = staged.status(staged.name), staged.sealed
    if found is None or sealed is None or _facts(found, staged) != _facts(sealed, staged):
        raise DestinationTampered(staged.destination.display, "the temporary name is of something else")


def _facts(status: os.stat_result, staged: Staged) -> tuple[object, ...]:
    if staged.is_shared:  # the source's other names come and go
        return inode(status), status.st_size, status.st_mtime_ns
    return inode(status), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_mode, status.st_uid


def _rename(staged: Staged, *, replace: bool) -> None:
    name, parent = staged.destination.name, staged.parent.fd
    found = staged.status(name) if replace else None
    if found is None:
        move(parent, staged.name, name)
        return
    if inode(found) != staged.previous:
        raise DestinationDiffers(staged.destination.display, "it changed while the source was copied")
    refuse_irremovable(parent, name)
    exchange(parent, staged.name, name)
    out = staged.status(staged.name)
    if out is not None and inode(out) != staged.previous:
        raise DestinationDiffers(staged.destination.display, "it changed while the source was copied")


def _refuse_moved(staged: Staged) -> None:
    """Check that the final name is our inode's, and that the path still leads to it."""
    display = staged.destination.display
    found = staged.status(staged.destination.name)
    if found is None or inode(found) != staged.inode:
        raise DestinationTampered(display, "the final name is of something else")
    with open_location(staged.destination.parent, os.O_PATH | os.O_DIRECTORY, Symlinks.REFUSED) as parent:
        if inode(os.fstat(parent.fd)) != inode(os.fstat(staged.parent.fd)):
            raise DestinationTampered(display, "its folder was exchanged")


def _sync_names(staged: Staged) -> None:
    if staged.made:  # the folders' own names, too
        syncfs(staged.parent.fd)
    else:
        os.fsync(staged.parent.fd)


def _published(staged: Staged) -> Published:
    name, parent = staged.destination.name, staged.parent.fd
    if staged.contents:
        fingerprint = staged.contents.closed_with(os.stat(name, dir_fd=parent, follow_symlinks=False))
    else:
        fingerprint = fingerprint_at(parent, name, staged.destination.display) or ""
    algorithm: ChecksumAlgorithm = SHA256 if staged.kind == "directory" else ADLER32
    return Published(
        kind=staged.kind,
        size_bytes=staged.size_bytes,
        file_count=staged.file_count,
        checksum=staged.checksum,
        checksum_algorithm=algorithm if staged.checksum else None,
        fingerprint=fingerprint,
    )


def withdraw(staged: Staged) -> None:
    """Undo a rename, however far it came, by what the names stand for now."""
    if staged.parent.fd < 0:
        return
    final = staged.status(staged.destination.name)
    if final is None or inode(final) != staged.inode:
        return
    if staged.status(staged.name) is None:
        move(staged.parent.fd, staged.destination.name, staged.name)
    else:
        exchange(staged.parent.fd, staged.name, staged.destination.name)


def _remove_replaced(staged: Staged) -> None:
    """Remove what was replaced; leave what cannot be removed now to a sweep."""
    with suppress(OSError):
        old = staged.status(staged.name)
        if old is not None and inode(old) == staged.previous:
            staged.is_shared = not stat.S_ISDIR(old.st_mode)
            remove_any(staged, staged.name)
