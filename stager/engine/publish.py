"""Publication: what is staged gets its name, by one rename."""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, TypeVar

from stager.checksums import ADLER32, SHA256, ChecksumAlgorithm
from stager.engine.fingerprint import fingerprint_with
from stager.engine.kernel import syncfs
from stager.engine.mapping import refused
from stager.engine.removal import refuse_irremovable
from stager.engine.rename import exchange, move
from stager.engine.source import inode
from stager.engine.staged import Staged, close, remove_any
from stager.errors import DestinationDiffers, DestinationTampered, StagingError

T = TypeVar("T")


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Publication:
    """What was sealed and is to get its final name; whether it may replace what was there as its transfer began."""

    staged: Staged
    replace: bool


# Returns why some products, by their numbers, must not be published.
Refuse = Callable[[Collection[int]], Mapping[int, StagingError]]


def publish(products: Mapping[int, Publication], *, refuse: Refuse) -> dict[int, Published | StagingError]:
    """Give products their final names, each in one step and all durably.

    Until they are durable any error, also one that a signal raises, takes its
    product back: the destination is as before, and `discard` does the rest.

    Parameters
    ----------
    products
        By numbers of the caller's.
    refuse
        Called right before the renames with the numbers of those that are ready.

    Returns
    -------
    dict
        By the products' numbers what was published, or why it was not:

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
    publishing = _Publishing(products)
    try:
        publishing.each(_refuse_tampered)
        publishing.fail(refuse(publishing.pending.keys()))
        publishing.each(_rename)
        arrived = publishing.each(_arrived)
        publishing.refuse_moved()
        publishing.sync_names()
        # Another name of a shared file may have been taken back since, which changes the file's status.
        shared = {number: product for number, product in publishing.pending.items() if product.staged.is_shared}
        arrived |= publishing.each(_arrived, shared)
        published = {
            number: _published(product.staged, arrived[number]) for number, product in publishing.pending.items()
        }
    except BaseException:
        publishing.withdraw_all()
        raise
    for product in publishing.pending.values():
        product.staged.made.clear()
        if product.staged.previous is not None:
            _remove_replaced(product.staged)
        close(product.staged)
    return {**published, **publishing.errors}


class _Publishing:
    """Products on their way through the steps of a publication: what fails goes no further, and is taken back."""

    def __init__(self, products: Mapping[int, Publication]) -> None:
        self.pending = dict(products)
        self.errors: dict[int, StagingError] = {}

    def each(self, do: Callable[[Publication], T], some: Mapping[int, Publication] | None = None) -> dict[int, T]:
        """Do something with each, or some, of those that have not failed, and return the results."""
        done: dict[int, T] = {}
        errors: dict[int, StagingError] = {}
        for number, product in (self.pending if some is None else some).items():
            try:
                done[number] = do(product)
            except (OSError, StagingError) as error:
                errors[number] = self._error_of(number, error)
        self.fail(errors)
        return {number: one for number, one in done.items() if number in self.pending}

    def each_folder(self, do: Callable[[Staged], T]) -> dict[int, T]:
        """Do something once for all that are in one folder, and return the result for each."""
        folders: dict[int, list[int]] = defaultdict(list)
        for number, product in self.pending.items():
            folders[id(product.staged.folder)].append(number)
        done: dict[int, T] = {}
        for numbers in folders.values():
            try:
                done |= dict.fromkeys(numbers, do(self.pending[numbers[0]].staged))
            except OSError as error:
                self.fail({number: self._error_of(number, error) for number in numbers})
        return done

    def refuse_moved(self) -> None:
        """Fail those whose folder is not where their path leads any more."""
        are_there = self.each_folder(lambda staged: staged.folder.is_at(staged.destination.parent))
        moved = {number: self.pending[number].staged for number, is_there in are_there.items() if not is_there}
        reason = "its folder was exchanged"
        self.fail({number: DestinationTampered(one.destination.display, reason) for number, one in moved.items()})

    def _error_of(self, number: int, error: OSError | StagingError) -> StagingError:
        if isinstance(error, StagingError):
            return error
        return refused(error, self.pending[number].staged.destination.display)

    def fail(self, errors: Mapping[int, StagingError]) -> None:
        """Take back those that have failed."""
        for number, error in errors.items():
            self.errors[number] = error
            _withdraw_quietly(self.pending.pop(number))

    def withdraw_all(self) -> None:
        """Take all back."""
        for product in self.pending.values():
            _withdraw_quietly(product)

    def sync_names(self) -> None:
        """Make the names durable: those in one folder by fsync(2), others by one syncfs(2) for each file system."""
        systems: dict[int, list[int]] = defaultdict(list)
        folders = self.each_folder(lambda staged: os.fstat(staged.parent.fd))
        for number, folder in folders.items():
            systems[folder.st_dev].append(number)
        for numbers in systems.values():
            staged = [self.pending[number].staged for number in numbers]
            try:
                if len({inode(folders[number]) for number in numbers}) > 1 or any(one.made for one in staged):
                    syncfs(staged[0].parent.fd)
                else:
                    os.fsync(staged[0].parent.fd)
            except OSError as error:
                self.fail({number: self._error_of(number, error) for number in numbers})


def _withdraw_quietly(product: Publication) -> None:
    with suppress(OSError):
        withdraw(product.staged)


def _refuse_tampered(product: Publication) -> None:
    """Check that the temporary name is unchanged since it was sealed."""
    staged = product.staged
    found, sealed = staged.status(staged.name), staged.sealed
    if found is None or sealed is None or _facts(found, staged) != _facts(sealed, staged):
        raise DestinationTampered(staged.destination.display, "the temporary name is of something else")


def _facts(status: os.stat_result, staged: Staged) -> tuple[object, ...]:
    if staged.is_shared:  # the source's other names come and go
        return inode(status), status.st_size, status.st_mtime_ns
    return inode(status), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_mode, status.st_uid


def _rename(product: Publication) -> None:
    staged = product.staged
    name, parent = staged.destination.name, staged.parent.fd
    found = staged.status(name) if product.replace else None
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


def _arrived(product: Publication) -> str:
    """Return the fingerprint of what has the final name now, and check that it is our inode."""
    staged = product.staged
    name = staged.destination.name
    found = staged.status(name)
    if found is None or inode(found) != staged.inode:
        raise DestinationTampered(staged.destination.display, "the final name is of something else")
    if staged.contents:
        return staged.contents.closed_with(found)
    return fingerprint_with(staged.parent.fd, name, found, staged.destination.display)


def _published(staged: Staged, fingerprint: str) -> Published:
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
