"""A file descriptor that closes by itself."""

from __future__ import annotations

import os
from contextlib import suppress
from types import TracebackType
from typing import Self


class Descriptor:
    """A file descriptor that closes at the end of a with block, or when nothing refers to it any more.

    The second matters where an exception may come at any instruction (a
    signal's), and where a thread still works with it.
    """

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def status(self, name: str | bytes) -> os.stat_result:
        """Return the status of a name in this directory, stat(2); a link is not followed."""
        return os.stat(name, dir_fd=self.fd, follow_symlinks=False)

    def link_text(self, name: str | bytes) -> str:
        """Return a symbolic link's text, readlink(2)."""
        return os.readlink(os.fsdecode(name), dir_fd=self.fd)

    def opened(self, name: str | bytes, flags: int) -> Descriptor:
        """Open a name in this directory, open(2)."""
        return Descriptor(os.open(name, flags, dir_fd=self.fd))

    def close(self) -> None:
        """Close it; a second time does nothing."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        with suppress(OSError, AttributeError):
            self.close()
