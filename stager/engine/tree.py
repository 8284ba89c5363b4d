"""A directory and all that is in it goes over, one name after another."""

from __future__ import annotations

import os
import stat

from stager.engine.copier import Copier
from stager.engine.mapping import refused, unread
from stager.engine.source import READ, READ_DIRECTORY, Inode, inode, refuse_special
from stager.engine.survey import refuse_too_deep

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_PRIVATE_DIRECTORY = 0o700


class TreeCopy:
    """Copies a tree into a directory that nobody else can enter yet.

    A file with several names in the tree has them in the copy; only such
    files are remembered, and each only until all its names were met.

    Parameters
    ----------
    top
        Descriptor of the copy's top: private to us, so that names in it are
        what we made them.
    file_mode, uid, gid
        What each file gets at once; `seal` looks whether it has it.
    """

    def __init__(self, copier: Copier, *, top: int, file_mode: int, uid: int, gid: int) -> None:
        self._copier = copier
        self._top = top
        self._file_mode = file_mode
        self._owner = uid, gid
        self._must_chown = (uid, gid) != (-1, -1)
        self._linked: dict[Inode, tuple[str, int, int]] = {}

    def copy_directory(self, source: int, destination: int, prefix: str) -> None:
        """Copy what is in an open directory into another, sorted by name, and set its times last."""
        refuse_too_deep(self._copier.source, prefix)
        path = prefix
        try:
            before = os.fstat(source)
            names = os.listdir(source)
        except OSError as error:
            raise unread(error, f"{self._copier.source}/{path}") from error
        names.sort(reverse=True)
        while names:
            name = names.pop()
            self._copy_entry(source, destination, name=name, path=prefix + name)
        try:
            os.utime(destination, ns=(before.st_atime_ns, before.st_mtime_ns))
        except OSError as error:
            raise refused(error, f"{self._copier.destination}/{prefix}") from error

    def _copy_entry(self, source: int, destination: int, *, name: str, path: str) -> None:
        try:
            status = os.stat(name, dir_fd=source, follow_symlinks=False)
        except OSError as error:
            raise unread(error, f"{self._copier.source}/{path}") from error
        if stat.S_ISREG(status.st_mode):
            if status.st_nlink == 1 or not self._linked_again(destination, name, path=path, status=status):
                self._copy_file(source, destination, name, path, status)
        elif stat.S_ISDIR(status.st_mode):
            self._enter(source, destination, name=name, path=path)
        else:
            refuse_special(status, f"{self._copier.source}/{path}")
            self._copy_link(source, destination, name=name, path=path, status=status)

    def _copy_file(self, source: int, destination: int, name: str, path: str, status: os.stat_result) -> None:
        copier = self._copier
        try:
            from_fd = os.open(name, READ, dir_fd=source)
        except OSError as error:
            raise unread(error, f"{copier.source}/{path}") from error
        try:
            try:
                to_fd = os.open(name, _CREATE, self._file_mode, dir_fd=destination)
                if self._must_chown:
                    os.fchown(to_fd, *self._owner)
            except OSError as error:
                raise refused(error, f"{copier.destination}/{path}") from error
            try:
                checksum = copier.copy(from_fd, to_fd, status=status, path=path)
            finally:
                os.close(to_fd)
        finally:
            os.close(from_fd)
        if status.st_nlink > 1:
            self._linked[inode(status)] = path, checksum, status.st_nlink - 1
        copier.note(path, size_bytes=status.st_size, checksum=checksum)

    def _linked_again(self, destination: int, name: str, *, path: str, status: os.stat_result) -> bool:
        """Link to a file that was copied under another of its names; False if it was not."""
        first, checksum, left = self._linked.pop(inode(status), ("", 0, 0))
        if not left:
            return False
        try:
            os.link(first, name, src_dir_fd=self._top, dst_dir_fd=destination, follow_symlinks=False)
        except OSError as error:
            raise refused(error, f"{self._copier.destination}/{path}") from error
        if left > 1:
            self._linked[inode(status)] = first, checksum, left - 1
        self._copier.known_checksum(path, status.st_size)
        self._copier.control.advance(status.st_size)
        self._copier.note(path, size_bytes=status.st_size, checksum=checksum)
        return True

    def _enter(self, source: int, destination: int, *, name: str, path: str) -> None:
        try:
            from_fd = os.open(name, READ_DIRECTORY, dir_fd=source)
        except OSError as error:
            raise unread(error, f"{self._copier.source}/{path}") from error
        try:
            try:
                os.mkdir(name, _PRIVATE_DIRECTORY, dir_fd=destination)
                to_fd = os.open(name, READ_DIRECTORY, dir_fd=destination)
            except OSError as error:
                raise refused(error, f"{self._copier.destination}/{path}") from error
            try:
                self.copy_directory(from_fd, to_fd, path + "/")
            finally:
                os.close(to_fd)
        finally:
            os.close(from_fd)

    def _copy_link(self, source: int, destination: int, *, name: str, path: str, status: os.stat_result) -> None:
        """Copy a symbolic link as it is; the survey saw where it leads, and sees again whether it changed."""
        try:
            target = os.readlink(name, dir_fd=source)
        except OSError as error:
            raise unread(error, f"{self._copier.source}/{path}") from error
        try:
            os.symlink(target, name, dir_fd=destination)
            times = status.st_atime_ns, status.st_mtime_ns
            os.utime(name, ns=times, dir_fd=destination, follow_symlinks=False)
        except OSError as error:
            raise refused(error, f"{self._copier.destination}/{path}") from error
