"""Fingerprints: by stat(2) alone, and changed by any change to the product."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from functools import partial

from stager.engine.mapping import refused, writing
from stager.engine.source import READ_DIRECTORY
from stager.engine.walk import Folder, Walk
from stager.errors import StagingError
from stager.paths import Descriptor, Location, Symlinks, open_folder
from stager.slices.helpers import Helpers
from stager.slices.looking import Seen, allocated_bytes, facts
from stager.slices.work import Slice

# Called for whatever is neither file nor directory, with its directory, path, status and link text; may raise.
OnSpecial = Callable[[os.stat_result, str, str], None]


class Contents:
    """The hash over the contents of a product, in the walk's order, and its totals."""

    def __init__(self) -> None:
        self.size_bytes = self.file_count = self.allocated_bytes = 0
        self._hash = hashlib.sha256()

    def add(self, path: str, found: str, target: str = "") -> None:
        """Add the line of one entry: its path, its `facts`, a link's text."""
        self.add_lines(f"{path}\0{found}\0{target}\0")

    def add_lines(self, lines: str) -> None:
        """Add lines that exist already."""
        self._hash.update(lines.encode("utf-8", "surrogateescape"))

    def count(self, size_bytes: int, allocated: int) -> None:
        """Count a regular file."""
        self.file_count += 1
        self.size_bytes += size_bytes
        self.allocated_bytes += allocated

    def closed_with(self, top: os.stat_result, target: str = "") -> str:
        """Return the fingerprint, which has the product's own line last."""
        whole = self._hash.copy()
        whole.update(_line(top, target))
        return whole.hexdigest()


class FingerprintWalk(Walk):
    """A walk that only looks; ``contents`` is complete once the helpers have finished.

    Parameters
    ----------
    on_special
        Called for whatever is neither a file nor a directory.
    """

    def __init__(
        self,
        display: str,
        helpers: Helpers,
        *,
        failed: Callable[[OSError, str], StagingError],
        on_special: OnSpecial | None = None,
    ) -> None:
        super().__init__(display, helpers, failed)
        self.contents = Contents()
        self._on_special = on_special

    def _slice(self, folder: Folder, names: list[str]) -> Slice:
        return Slice(names=names, path=folder.path, source=folder.source)

    def _take(self, folder: Folder, work: Slice, results: list[Seen | None]) -> None:
        lines: list[str] = []
        for name, seen in zip(work.names, results, strict=True):
            if seen is None:
                self.contents.add_lines("".join(lines))
                lines = []
                self._other(folder, name)
            else:
                lines.append(f"{work.path}{name}\0{seen[0]}\0\0")
                self.contents.count(seen[1], seen[2])
        self.contents.add_lines("".join(lines))

    def _other(self, folder: Folder, name: str) -> None:
        path = folder.path + name
        status = self._status(folder, name)
        target = ""
        if stat.S_ISLNK(status.st_mode):
            try:
                target = folder.source.link_text(name)
            except OSError as error:
                raise self._failed(error, f"{self.display}/{path}") from error
        if stat.S_ISREG(status.st_mode):
            self.contents.count(status.st_size, allocated_bytes(status))
        elif self._on_special:
            self._on_special(status, path, target)
        self.contents.add(path, facts(status), target)

    def _enter(self, folder: Folder, name: str) -> None:
        path = folder.path + name
        try:
            inner = folder.source.opened(name, READ_DIRECTORY)
        except OSError as error:
            raise self._failed(error, f"{self.display}/{path}") from error
        self.walk(Folder(path=path + "/", source=inner))
        self._helpers.then(partial(self._leave, inner, path))

    def _leave(self, directory: Descriptor, path: str) -> None:
        with directory:
            self.contents.add(path, facts(os.fstat(directory.fd)))


def fingerprint(destination: Location) -> str | None:
    """Return the fingerprint of what is at a destination, None where nothing is.

    It never follows a link and takes whatever it finds. It equals the one
    that `publish` returned as long as nothing there was changed.
    """
    with writing(destination):
        try:
            parent = open_folder(destination, destination.parts[:-1], Symlinks.REFUSED)
        except FileNotFoundError:
            return None
        return fingerprint_at(parent.fd, destination.name, destination.display)


def fingerprint_of_file(status: os.stat_result, target: str = "") -> str:
    """Return the fingerprint of a regular file, as a survey has it; or of a link, given its text."""
    return hashlib.sha256(_line(status, target)).hexdigest()


def _line(top: os.stat_result, target: str) -> bytes:
    return f"\0{facts(top)}\0{target}\0".encode("utf-8", "surrogateescape")


def fingerprint_at(parent: int, name: bytes, display: str) -> str | None:
    """Return the `fingerprint` of a name in an open directory."""
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISDIR(status.st_mode):
        return fingerprint_with(parent, name, status, display)
    with Descriptor(os.open(name, READ_DIRECTORY, dir_fd=parent)) as directory:
        return contents_of(directory, display).closed_with(os.fstat(directory.fd))


def fingerprint_with(parent: int, name: bytes, status: os.stat_result, display: str) -> str:
    """Return the `fingerprint` that a name in an open directory would have with this status of its own."""
    if not stat.S_ISDIR(status.st_mode):
        target = os.fsdecode(os.readlink(name, dir_fd=parent)) if stat.S_ISLNK(status.st_mode) else ""
        return fingerprint_of_file(status, target)
    with Descriptor(os.open(name, READ_DIRECTORY, dir_fd=parent)) as directory:
        return contents_of(directory, display).closed_with(status)


def contents_of(directory: Descriptor, display: str) -> Contents:
    """Return the contents of a destination's directory."""
    look = FingerprintWalk(display, Helpers(), failed=refused)
    look.walk(Folder(path="", source=directory))
    return look.contents
