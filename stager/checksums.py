"""Checksums: the algorithms, how they are written and taken.

Adler-32 is taken of every file that is read whole; SHA-256 or MD5 besides, where a
request names one. Adler-32 and MD5 find accidents, not forgery.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from typing import Final, Literal, NamedTuple, Self

# A file has any of these; a directory has the SHA-256 over its files' Adler-32 checksums.
ADLER32: Final = "adler32"
SHA256: Final = "sha256"
MD5: Final = "md5"
ChecksumAlgorithm = Literal["adler32", "sha256", "md5"]

EMPTY = 1
_BASE = 65521
# How many hexadecimal digits each has where somebody writes it: as a regular expression, and in words.
_DIGITS: dict[ChecksumAlgorithm, tuple[str, str]] = {
    ADLER32: ("1,8", "1 to 8"),
    SHA256: ("64", "64"),
    MD5: ("32", "32"),
}
_FORMS = {
    name: re.compile(rf"(?:{name}:)?([0-9a-f]{{{digits}}})", re.IGNORECASE | re.ASCII)
    for name, (digits, _) in _DIGITS.items()
}
# Made while libraries can still be loaded: a process that became its user copies them.
_HASHES = {name: hashlib.new(name, usedforsecurity=False) for name in (SHA256, MD5)}

update = zlib.adler32


class Checksum(NamedTuple):
    """A checksum and its algorithm.

    Attributes
    ----------
    value
        Lower-case hexadecimal digits: eight of Adler-32, 64 of SHA-256, 32 of MD5.
    """

    algorithm: ChecksumAlgorithm
    value: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the checksum that a text says.

        Parameters
        ----------
        text
            ``"sha256:..."``, ``"md5:..."`` or ``"adler32:..."``, or the digits alone,
            whose number tells the algorithm. The case does not matter, nor do the
            leading zeros of an Adler-32.

        Raises
        ------
        ValueError
            It says none; the message tells what is wrong with it.
        """
        for algorithm, form in _FORMS.items():
            if found := form.fullmatch(text):
                return cls(algorithm, found[1].lower().zfill(8))
        raise ValueError(_what_is_wrong(text))

    def __str__(self) -> str:
        """Return it with its algorithm's name: ``"adler32:0a1b2c3d"``."""
        return f"{self.algorithm}:{self.value}"


def _what_is_wrong(text: str) -> str:
    name, colon, _ = text.lower().partition(":")
    for algorithm, (_, digits) in _DIGITS.items():
        if name == algorithm:
            return f"a checksum by {algorithm} is written {algorithm}: and {digits} hexadecimal digits"
    if colon:
        return f"a checksum is by {', '.join(_DIGITS)}"
    counts = ", ".join(f"{digits} ({algorithm})" for algorithm, (_, digits) in _DIGITS.items())
    return f"a checksum without its algorithm's name is so many hexadecimal digits: {counts}"


class Hasher:
    """Takes a file's SHA-256 or MD5 while its bytes pass, in their order."""

    def __init__(self, algorithm: Literal["sha256", "md5"]) -> None:
        self._algorithm = algorithm
        self._hash = _HASHES[algorithm].copy()

    def update(self, block: bytes | memoryview) -> None:
        """Take the bytes that come next."""
        self._hash.update(block)

    @property
    def checksum(self) -> Checksum:
        """The checksum of what was taken so far."""
        return Checksum(self._algorithm, self._hash.hexdigest())


class Sums:
    """Takes several checksums of a file at once while its bytes pass, in their order: its Adler-32, and those named."""

    def __init__(self, *algorithms: ChecksumAlgorithm) -> None:
        self._adler32 = EMPTY
        self._hashers = [Hasher(one) for one in dict.fromkeys(algorithms) if one != ADLER32]

    def update(self, block: bytes | memoryview) -> None:
        """Take the bytes that come next."""
        self._adler32 = update(block, self._adler32)
        for hasher in self._hashers:
            hasher.update(block)

    @property
    def checksums(self) -> dict[ChecksumAlgorithm, Checksum]:
        """The checksums of what was taken so far, by their algorithms."""
        taken = (Checksum(ADLER32, text(self._adler32)), *(hasher.checksum for hasher in self._hashers))
        return {one.algorithm: one for one in taken}


def hasher_for(wanted: Checksum | None) -> Hasher | None:
    """Return what takes a checksum that is wanted; None where it is an Adler-32, which is taken anyway, or none is."""
    if wanted is None or wanted.algorithm == ADLER32:
        return None
    return Hasher(wanted.algorithm)


def text(value: int) -> str:
    """Return an Adler-32 as eight lower-case hexadecimal digits."""
    return f"{value:08x}"


def combine(first: int, second: int, second_bytes: int) -> int:
    """Return the Adler-32 of two runs of bytes put together, from the checksum of each.

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
    """Return the Adler-32 after a run of zero bytes, at the same cost for any length."""
    low = value & 0xFFFF
    return ((value >> 16) + zero_bytes * low) % _BASE << 16 | low
