"""Terms that need no library: a mover knows them too, and has none."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class OnConflict(StrEnum):
    """What to do where something is at the destination already."""

    FAIL = "fail"
    SKIP_IDENTICAL = "skip_identical"
    REPLACE = "replace"


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
