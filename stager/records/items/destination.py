"""How a destination is found in the records, whoever names it: by it, leases and our own receipts are."""

from __future__ import annotations

import hashlib
import os

from stager.paths import Place


def destination_key(destination: Place) -> str:
    """Return the key of a destination: the same for whoever stages there, and through whichever area."""
    return key_of(destination.key)


def key_of(place: str) -> str:
    """Return 64 hexadecimal digits that stand for a place, the SHA-256 of its own key.

    Long binary paths cannot be an InnoDB key.
    """
    return hashlib.sha256(os.fsencode(place)).hexdigest()
