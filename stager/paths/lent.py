"""Directories that another process lends: that process opens what is in them."""

from __future__ import annotations

import os
from typing import Protocol

from stager.paths.descriptor import Descriptor


class Lender(Protocol):
    """The process that lends directories; each call raises OSError as the system call would."""

    def status(self, folder: int, name: str) -> os.stat_result:
        """Return the status of a name in a folder; a link is not followed."""

    def link_text(self, folder: int, name: str) -> str:
        """Return a symbolic link's text."""

    def opened(self, folder: int, name: str) -> tuple[int, int]:
        """Open a file or a directory for reading; return its descriptor, and a directory's number there, else 0."""

    def returned(self, folder: int) -> None:
        """Take back a directory that is not needed any more."""


class LentFolder(Descriptor):
    """A lent directory of an area that this process may not enter: by itself, it can only list the names in it.

    Parameters
    ----------
    number
        Its number with the lender.
    """

    __slots__ = ("_lender", "_number")

    def __init__(self, fd: int, lender: Lender, number: int) -> None:
        super().__init__(fd)
        self._lender = lender
        self._number = number

    def lent_again(self) -> LentFolder:
        """Return the same directory as another object, which is closed by itself."""
        return LentFolder(-1, self._lender, self._number)

    def status(self, name: str | bytes) -> os.stat_result:
        """Return the status of a name in this directory."""
        return self._lender.status(self._number, os.fsdecode(name))

    def link_text(self, name: str | bytes) -> str:
        """Return a symbolic link's text."""
        return self._lender.link_text(self._number, os.fsdecode(name))

    def opened(self, name: str | bytes, flags: int) -> Descriptor:  # noqa: ARG002 - it is opened for reading alone
        """Open a name in this directory."""
        fd, number = self._lender.opened(self._number, os.fsdecode(name))
        return LentFolder(fd, self._lender, number) if number else Descriptor(fd)

    def close(self) -> None:
        """Close it, and give it back."""
        is_open = self.fd >= 0
        super().close()
        if is_open:
            self._lender.returned(self._number)
