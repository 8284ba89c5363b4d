"""The room at a notebook server, of which each upload of a batch takes its part before its first byte is sent."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from humanize import naturalsize

from stager.errors import HomeFull
from stager.methods.notebook_path import NotebookPath
from stager.peers.jupyter import Contents, room_in

# The file system of folders of which nothing is told.
_UNKNOWN = -1


class NotebookRoom:
    """What is left of a notebook server's file systems after all uploads that are under way to them.

    A kernel is asked, once for each folder, and again where too little seems to be left. Where none
    answers, nothing is known before the server itself finds no room.
    """

    def __init__(self) -> None:
        self._asking = threading.Lock()
        self._file_systems: dict[str, int] = {}
        self._left: dict[int, float] = {_UNKNOWN: math.inf}
        self._under_way: Counter[int] = Counter()
        self._is_told = True

    @contextmanager
    def taken(self, contents: Contents, place: NotebookPath, size_bytes: int) -> Iterator[None]:
        """Take so much room while the body uploads something, and keep it taken once that has arrived.

        Raises
        ------
        HomeFull
            There is less.
        """
        with self._asking:
            file_system = self._take(contents, place, size_bytes)
        try:
            yield
        except BaseException:
            with self._asking:
                self._left[file_system] += size_bytes
            raise
        finally:
            with self._asking:
                self._under_way[file_system] -= size_bytes

    def _take(self, contents: Contents, place: NotebookPath, size_bytes: int) -> int:
        folder = place.parent.path
        file_system = self._file_systems.get(folder)
        if file_system is None or size_bytes > self._left[file_system]:  # somebody may have made room
            file_system = self._file_systems[folder] = self._ask(contents, folder)
        left = self._left[file_system]
        if size_bytes > left:
            reason = f"{naturalsize(size_bytes)} are to come, and there is room for {naturalsize(max(left, 0))}"
            raise HomeFull(place.display, reason)
        self._left[file_system] -= size_bytes
        self._under_way[file_system] += size_bytes
        return file_system

    def _ask(self, contents: Contents, folder: str) -> int:
        """Return the file system that a folder is on, with what is left of it noted."""
        told = room_in(contents, folder) if self._is_told else None
        if told is None:
            self._is_told = False
            return _UNKNOWN
        file_system, free = told
        # What is under way is there in part, and so counts twice; by our own account it does not.
        self._left[file_system] = max(self._left.get(file_system, 0), free - self._under_way[file_system])
        return file_system
