"""The destinations of a request of very many items, of which no two may be one, and none may lie inside another."""

from __future__ import annotations

import hashlib
import posixpath
from array import array
from collections.abc import Iterator

from stager.errors import NestedDestination, SharedDestination

# A million destinations take 8 MB so, and one sixteenth of them more while they are compared.
PARTS = 16
# Folders that destinations lie in, 48 MB of them, and so many levels: what lies deeper, or is more, its run tells.
_MAX_FOLDERS = 4_000_000
_MAX_DEPTH = 64


class Destinations:
    """Keeps 64 bits of each destination: two of a million differ in them but for one time in 10^7."""

    def __init__(self) -> None:
        self._hashes = array("Q")
        self._folders = array("Q")
        self._inner = array("I")  # for each folder, the first item in a row that lies in it
        self._last = [""]

    def __len__(self) -> int:
        return len(self._hashes)

    def add(self, destination: str) -> None:
        """Take the next item's."""
        names = posixpath.normpath(destination).split("/", _MAX_DEPTH)
        place = hashlib.blake2b(digest_size=8)
        is_known = True
        for depth, name in enumerate(names):
            if depth:
                self._note_folder(place, is_known=is_known)
                place.update(b"/")
            place.update(name.encode("utf-8", "surrogatepass"))
            is_known = is_known and self._last[depth : depth + 1] == [name]
        self._last = names[:-1]
        self._hashes.append(_number(place))

    def _note_folder(self, place: hashlib.blake2b, *, is_known: bool) -> None:
        if not is_known and len(self._folders) < _MAX_FOLDERS:
            self._folders.append(_number(place))
            self._inner.append(len(self._hashes))

    def check(self) -> None:
        """Return when all differ, and none lies inside another.

        Raises
        ------
        SharedDestination, NestedDestination
            Two are one, or one lies inside the other.
        """
        for part in range(PARTS):
            seen: set[int] = set()
            for position, found in _part(self._hashes, part):
                if found in seen:
                    raise SharedDestination(self._hashes.index(found), position)
                seen.add(found)
            for position, found in _part(self._folders, part):
                if found in seen:
                    raise NestedDestination(self._inner[position], self._hashes.index(found))


def _part(numbers: array[int], part: int) -> Iterator[tuple[int, int]]:
    return ((position, number) for position, number in enumerate(numbers) if number % PARTS == part)


def _number(place: hashlib.blake2b) -> int:
    return int.from_bytes(place.digest())
