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
