"""The copying of a directory with all that is in it: small files in slices, the rest one by one."""

from __future__ import annotations

import os
import stat
from functools import partial

from stager.engine.fingerprint import Contents
from stager.engine.mapping import refused, unread
from stager.engine.product_copier import Copier
from stager.engine.source import READ, READ_DIRECTORY, Inode, inode, refuse_special
from stager.engine.staged import Modes
from stager.engine.walk import Folder, Walk
from stager.errors import SourceChanged
from stager.paths import Descriptor
from stager.slices.copying import CREATE, Arrived, CopyTerms, Unwritten, settle
from stager.slices.helpers import Helpers
from stager.slices.looking import facts
from stager.slices.work import Slice

_PRIVATE_DIRECTORY = 0o700


class TreeCopy(Walk):
    """Copies a tree into a directory that nobody else can enter yet.

    Everything in it gets its mode and times; the top gets its mode by
    `seal`. A file with several names in the tree has them in the copy; only
    such files are remembered, and each only until all its names were met.

    Parameters
    ----------
    top
        The copy's top: private to us, so that names in it are what we made them.
    """

    def __init__(self, copier: Copier, helpers: Helpers, *, top: Descriptor, modes: Modes) -> None:
        super().__init__(copier.source, helpers, unread)
        self._copier = copier
        self._top = top
        self._modes = modes
        self._linked: dict[Inode, tuple[str, int, int]] = {}
        self._contents = Contents()
        self._has_links = False

    @property
    def contents(self) -> Contents | None:
        """The contents of the copy; None if a walk must find them: a hard link changes the ctime of other names."""
        return None if self._has_links else self._contents

    def _slice(self, folder: Folder, names: list[str]) -> Slice:
        while names and self._copier.is_sharing is None:  # the first file shows whether blocks can be shared
            self._other(folder, names.pop(0))
        terms = self._terms(self._modes.file)
        return Slice(names=names, path=folder.path, source=folder.source, destination=folder.destination, terms=terms)

    def _terms(self, mode: int) -> CopyTerms:
        is_cloned = bool(self._copier.is_sharing)
        is_summed = not (is_cloned and self._copier.has_known)
        return CopyTerms(mode, is_cloned=is_cloned, is_summed=is_summed)

    def _take(self, folder: Folder, work: Slice, results: list[Arrived | None]) -> None:
        arrived: list[tuple[str, int, int]] = []
        lines: list[str] = []
        for name, result in zip(work.names, results, strict=True):
            path = folder.path + name
            if result is None:
                self._note(arrived, lines)
                self._other(folder, name)
                continue
            size, checksum, found = result
            if checksum is None:  # cloned, and a known one was to do
                checksum = self._copier.known_checksum(path, size)
            if checksum is None:
                checksum = self._read_checksum(folder, name)
            arrived.append((path, size, checksum))
            lines.append(f"{path}\0{found}\0\0")
        self._note(arrived, lines)

    def _note(self, arrived: list[tuple[str, int, int]], lines: list[str]) -> None:
        """Add files to the totals in the walk's order, and forget them."""
        self._contents.add_lines("".join(lines))
        self._copier.note(arrived, advanced=sum(size for _, size, _ in arrived))
        arrived.clear()
        lines.clear()

    def _read_checksum(self, folder: Folder, name: str) -> int:
        with self._opened(folder, name) as source:
            return self._copier.cloned_checksum(source.fd, status=os.fstat(source.fd), path=folder.path + name)

    def _opened(self, folder: Folder, name: str, flags: int = READ) -> Descriptor:
        try:
            return folder.source.opened(name, flags)
        except OSError as error:
            raise unread(error, f"{self.display}/{folder.path}{name}") from error

    def _other(self, folder: Folder, name: str) -> None:
        display = f"{self.display}/{folder.path}{name}"
        status = self._status(folder, name)
        if stat.S_ISDIR(status.st_mode):
            raise SourceChanged(display, "it became a directory")
        refuse_special(status, display)
        if stat.S_ISLNK(status.st_mode):
            self._copy_link(folder, name, status)
        elif status.st_nlink == 1 or not self._is_linked_again(folder, name, status):
            self._copy_file(folder, name, status)

    def _copy_file(self, folder: Folder, name: str, status: os.stat_result) -> None:
        path = folder.path + name
        copier = self._copier
        with self._opened(folder, name) as source:
            try:
                made = os.open(name, CREATE, self._modes.file, dir_fd=self._into(folder))
            except OSError as error:
                raise refused(error, f"{copier.destination}/{path}") from error
            with Descriptor(made) as destination:
                checksum = copier.copy(source.fd, destination.fd, status=status, path=path)
                terms = self._terms(self._modes.file)
                arrived = copier.settle(destination.fd, status=status, terms=terms, path=path)
        if status.st_nlink > 1:
            self._linked[inode(status)] = path, checksum, status.st_nlink - 1
        self._contents.add(path, facts(arrived))
        copier.note([(path, status.st_size, checksum)])

    @staticmethod
    def _into(folder: Folder) -> int:
        return folder.destination.fd if folder.destination else -1

    def _is_linked_again(self, folder: Folder, name: str, status: os.stat_result) -> bool:
        """Link to a file that was copied under another name already; return False if it was not."""
        path, copier = folder.path + name, self._copier
        first, checksum, left = self._linked.pop(inode(status), ("", 0, 0))
        if not left:
            return False
        try:
            os.link(first, name, src_dir_fd=self._top.fd, dst_dir_fd=self._into(folder), follow_symlinks=False)
        except OSError as error:
            raise refused(error, f"{copier.destination}/{path}") from error
        self._has_links = True
        if left > 1:
            self._linked[inode(status)] = first, checksum, left - 1
        copier.known_checksum(path, status.st_size)
        copier.note([(path, status.st_size, checksum)], advanced=status.st_size)
        return True

    def _enter(self, folder: Folder, name: str) -> None:
        path = folder.path + name
        source = self._opened(folder, name, READ_DIRECTORY)
        before = self._before(source, path)
        try:
            os.mkdir(name, _PRIVATE_DIRECTORY, dir_fd=self._into(folder))
            destination = Descriptor(os.open(name, READ_DIRECTORY, dir_fd=self._into(folder)))
        except OSError as error:
            raise refused(error, f"{self._copier.destination}/{path}") from error
        inner = Folder(path=path + "/", source=source, destination=destination)
        self.walk(inner)
        self._helpers.then(partial(self._leave, inner, before))

    def _before(self, source: Descriptor, path: str) -> os.stat_result:
        try:
            return os.fstat(source.fd)
        except OSError as error:
            raise unread(error, f"{self.display}/{path}") from error

    def _leave(self, folder: Folder, before: os.stat_result) -> None:
        """Set a directory's times, after all in it was copied."""
        path = folder.path.removesuffix("/")
        try:
            arrived = settle(self._into(folder), before, self._terms(self._modes.directory))
        except Unwritten as error:
            raise refused(error.error, f"{self._copier.destination}/{path}") from error
        self._contents.add(path, facts(arrived))

    def _copy_link(self, folder: Folder, name: str, status: os.stat_result) -> None:
        """Copy a symbolic link as it is; the surveys before and after check where it leads."""
        path, into = folder.path + name, self._into(folder)
        try:
            target = folder.source.link_text(name)
        except OSError as error:
            raise unread(error, f"{self.display}/{path}") from error
        try:
            os.symlink(target, name, dir_fd=into)
            os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=into, follow_symlinks=False)
            arrived = os.stat(name, dir_fd=into, follow_symlinks=False)
        except OSError as error:
            raise refused(error, f"{self._copier.destination}/{path}") from error
        self._contents.add(path, facts(arrived), target)
