"""Adler-32 in the form that Rucio writes it.

Adler-32 finds accidents, not forgery.
"""

from __future__ import annotations

import re
import zlib
from typing import Final, Literal

# The algorithms of a file's checksum and of a directory's, which is the SHA-256 over its files' checksums.
ADLER32: Final = "adler32"
SHA256: Final = "sha256"
ChecksumAlgorithm = Literal["adler32", "sha256"]

EMPTY = 1
_BASE = 65521
_FORM = re.compile(rf"(?:{ADLER32}:)?([0-9a-f]{{1,8}})", re.IGNORECASE)

update = zlib.adler32


def text(value: int) -> str:
    """Return a checksum as eight lower-case hexadecimal digits."""
    return f"{value:08x}"


def normalise(checksum: str) -> str:
    """Return a checksum as eight lower-case hexadecimal digits, however it was written.

    Parameters
    ----------
    checksum
        ``"adler32:ABC"``, ``"abc"`` or ``"00000abc"``: the name of the
        algorithm, the case and leading zeros do not matter.

    Raises
    ------
    ValueError
        It is not an Adler-32.
    """
    found = _FORM.fullmatch(checksum)
    if not found:
        message = f"{checksum[:80]!r} is not an Adler-32 checksum"
        raise ValueError(message)
    return found[1].lower().zfill(8)


def combine(first: int, second: int, second_bytes: int) -> int:
    """Return the checksum of two runs of bytes put together, from the checksum of each.

    Parameters
    ----------
    first, second
        The checksum of each run, each begun with `EMPTY`.
    second_bytes
        Length of the second run, in bytes.

    Notes
    -----
    RFC 1950, section 8.2: the low half is one plus the sum of the bytes, the
    high half the sum of all low halves on the way, both modulo 65521.
    """
    low = ((first & 0xFFFF) + (second & 0xFFFF) - 1) % _BASE
    high = ((first >> 16) + (second >> 16) + second_bytes * ((first & 0xFFFF) - 1)) % _BASE
    return high << 16 | low


def append_zeros(value: int, zero_bytes: int) -> int:
    """Return the checksum after a run of zero bytes, at the same cost for any length."""
    low = value & 0xFFFF
    return ((value >> 16) + zero_bytes * low) % _BASE << 16 | low
