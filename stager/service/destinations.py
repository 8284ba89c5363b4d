"""The destinations of a request of very many items, of which no two may be one."""

from __future__ import annotations

import hashlib
import posixpath
from array import array

from stager.errors import SharedDestination

# A million destinations take 8 MB so, and one sixteenth of them more while they are compared.
PARTS = 16


class Destinations:
    """Keeps 64 bits of each destination: two of a million differ in them but for one time in 10^7."""

    def __init__(self) -> None:
        self._hashes = array("Q")

    def __len__(self) -> int:
        return len(self._hashes)

    def add(self, destination: str) -> None:
        """Take the next item's."""
        self._hashes.append(_hash(destination))

    def check(self) -> None:
        """Return when all differ.

        Raises
        ------
        SharedDestination
            Two are one.
        """
        for part in range(PARTS):
            seen: set[int] = set()
            for position, found in enumerate(self._hashes):
                if found % PARTS == part:
                    if found in seen:
                        raise SharedDestination(self._hashes.index(found), position)
                    seen.add(found)


def _hash(destination: str) -> int:
    place = posixpath.normpath(destination).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(place, digest_size=8).digest())
