"""The helper: a process that copies slices for another process, and ends with it.

It is started clean, by `sys.executable`: fork(2) is not safe in a process
with threads. It holds the lock of what is staged, so that no sweep takes it
for dead while it writes; the kernel kills it when its parent dies, and the
end of its input ends it, too. Directories it opens beneath the two that it
was given, name by name and following no link.
"""

from __future__ import annotations

import ctypes
import marshal
import os
import signal
import sys
from typing import Any

from stager.slices.copying import CopyTerms, copy_what_it_can
from stager.slices.looking import look

READY = "ready"
_PR_SET_PDEATHSIG = 1
_INPUT, _OUTPUT = 0, 1
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_LENGTH_BYTES = 4

# An order: names, their folder's path, and the terms; None to look at them only.
Order = tuple[list[str], str, tuple[int | bool, ...] | None]


def main(source: int, destination: int) -> None:
    """Carry out orders until standard input ends; the first answer says that the helper is ready."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    folders = OpenFolder(source), OpenFolder(destination)
    send(_OUTPUT, READY)
    while (order := receive(_INPUT)) is not None:
        names, path, terms = order
        send(_OUTPUT, _done(folders, names, path, terms and CopyTerms._make(terms)))


def _done(folders: tuple[OpenFolder, OpenFolder], names: list[str], path: str, terms: CopyTerms | None) -> list[Any]:
    try:
        source = folders[0].opened(path)
        if terms is None:
            return look(source, names)
        return copy_what_it_can(source, folders[1].opened(path), names, terms)
    except OSError:  # no such folder any more: the caller will see
        return [None] * len(names)


class OpenFolder:
    """Keeps the folder open that was asked for last."""

    def __init__(self, top: int) -> None:
        self._top = top
        self._path = ""
        self._opened = os.dup(top)

    def opened(self, path: str) -> int:
        """Open a folder by its path, which ends with a slash or is empty for the top itself."""
        if path != self._path:
            os.close(self._opened)
            self._path, self._opened = "", os.dup(self._top)
            for name in path.split("/")[:-1]:
                inner = os.open(name, _DIRECTORY, dir_fd=self._opened)
                os.close(self._opened)
                self._opened = inner
            self._path = path
        return self._opened


def send(descriptor: int, message: Any) -> None:  # noqa: ANN401 - whatever marshal takes
    """Write a message: its length, then its bytes by marshal."""
    data = marshal.dumps(message)
    data = len(data).to_bytes(_LENGTH_BYTES, sys.byteorder) + data
    while data:
        data = data[os.write(descriptor, data) :]


def receive(descriptor: int) -> Any:  # noqa: ANN401 - whatever was sent
    """Read a message, None at the end; only messages of our own processes may be read by marshal."""
    length = _exactly(descriptor, _LENGTH_BYTES)
    data = length and _exactly(descriptor, int.from_bytes(length, sys.byteorder))
    return marshal.loads(data) if data else None  # noqa: S302 - as above


def _exactly(descriptor: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = os.read(descriptor, size - len(data))
        if not more:
            return b""
        data += more
    return data
