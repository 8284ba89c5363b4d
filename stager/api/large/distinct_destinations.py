"""A check of very many destinations: no two may be the same, and none may lie inside another."""

from __future__ import annotations

import hashlib
import posixpath
from array import array

from stager.errors import NestedDestination, SharedDestination

# A million destinations take 12 MB in this form; one sixteenth of them is compared at a time.
PARTS = 16
# So many folders (48 MB) and levels are looked at; of what is beyond them, the run finds out.
_MAX_FOLDERS = 4_000_000
_MAX_DEPTH = 64


class DistinctDestinations:
    """Hashes of 64 bits, one for each destination: that any two of a million collide has odds of one in 10^7."""

    def __init__(self) -> None:
        # By parts: the hashes, and the item of each; for a folder, the first item in a row that lies in it.
        self._items = [(array("Q"), array("I")) for _ in range(PARTS)]
        self._folders = [(array("Q"), array("I")) for _ in range(PARTS)]
        self._item_count = self._folder_count = 0
        self._last = [""]

    def __len__(self) -> int:
        return self._item_count

    def add(self, destination: str) -> None:
        """Add the destination of the next item."""
        path = posixpath.normpath(destination)
        # All lie in the destination area, which is that of an item that is expanded into it.
        names = ["."] if path == "." else [".", *path.split("/", _MAX_DEPTH)]
        place = hashlib.blake2b(digest_size=8)
        is_known = True
        for depth, name in enumerate(names):
            if depth:
                if not is_known and self._folder_count < _MAX_FOLDERS:
                    self._note(place, self._folders)
                    self._folder_count += 1
                place.update(b"/")
            place.update(name.encode("utf-8", "surrogatepass"))
            is_known = is_known and self._last[depth : depth + 1] == [name]
        self._last = names[:-1]
        self._note(place, self._items)
        self._item_count += 1

    def _note(self, place: hashlib.blake2b, parts: list[tuple[array[int], array[int]]]) -> None:
        number = int.from_bytes(place.digest())
        numbers, items = parts[number % PARTS]
        numbers.append(number)
        items.append(self._item_count)

    def check(self) -> None:
        """Check that all destinations differ and none lies inside another.

        Raises
        ------
        SharedDestination, NestedDestination
            Two are one, or one lies inside the other.
        """
        for items, folders in zip(self._items, self._folders, strict=True):
            seen: dict[int, int] = {}
            for number, item in zip(*items, strict=True):
                if number in seen:
                    raise SharedDestination(seen[number], item)
                seen[number] = item
            for number, item in zip(*folders, strict=True):
                if number in seen:
                    raise NestedDestination(item, seen[number])
