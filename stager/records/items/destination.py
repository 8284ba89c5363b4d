"""Where a destination is, whoever names it: what leases and our own receipts are found by."""

from __future__ import annotations

import hashlib
import os
import posixpath

from stager.paths import Location


def destination_key(destination: Location) -> str:
    """Return the key of a destination: the same for whoever stages there, and through whichever area."""
    return key_of(place_of(destination))


def place_of(destination: Location) -> str:
    """Return the absolute path of a destination, the same through whichever area.

    Symbolic links on the way to its area's root are followed. Beneath the
    root no method follows any, so names tell places apart.
    """
    root = os.fsencode(os.path.realpath(destination.root))
    return os.fsdecode(posixpath.join(root, *destination.parts))


def key_of(place: str) -> str:
    """Return the key of a place: 64 hexadecimal digits, the SHA-256 of its path.

    Long binary paths cannot be an InnoDB key.
    """
    return hashlib.sha256(os.fsencode(place)).hexdigest()
