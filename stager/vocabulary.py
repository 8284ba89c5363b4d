"""Terms that need no library, so that a mover, which has none, can use them too."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class OnConflict(StrEnum):
    """What to do if something is at the destination already."""

    FAIL = "fail"
    SKIP_IDENTICAL = "skip_identical"
    REPLACE = "replace"


class Pool(StrEnum):
    """Where a run is done: by a warm worker, or in a pod of its own."""

    WARM = "warm"
    POD = "pod"


class Verify(StrEnum):
    """How it is verified that what was sent has arrived, beyond what the method does anyway."""

    READ = "read"


class Expand(StrEnum):
    """What a source is that stands for many items."""

    DIRECTORY = "directory"
    GLOB = "glob"
    PREFIX = "prefix"

    def parted(self, source: str) -> tuple[str, tuple[str, ...]]:
        """Return the folder that a source lies in wherever it leads, and the pattern of what is meant beneath it.

        The pattern has a shell's wildcards for each name in turn; ``**`` stands for any number of folders, and at its
        end for every file. The area itself is the folder ``.``.
        """
        if self is Expand.DIRECTORY:
            return source, (EVERYTHING,)
        names = source.split("/")
        literal = len(names) - 1
        if self is Expand.GLOB:
            literal = next((number for number, name in enumerate(names) if WILDCARDS & {*name}), literal)
        rest = names[literal:]
        if self is Expand.PREFIX:
            rest = ["".join(f"[{sign}]" if sign in WILDCARDS else sign for sign in rest[0]) + "*", EVERYTHING]
        folder = "/".join(names[:literal]) or ("/" if source.startswith("/") else ".")
        return folder, tuple(name for name in rest if name not in ("", "."))


# What a pattern's name has that stands for others; and the one that stands for any number of folders.
WILDCARDS = frozenset("*?[")
EVERYTHING = "**"


class ManifestEntry(NamedTuple):
    """One file of a staged product.

    Attributes
    ----------
    path
        Relative to the product.
    checksum
        Adler-32, eight lower-case hexadecimal digits.
    """

    path: str
    size_bytes: int
    checksum: str
