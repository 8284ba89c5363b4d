"""The key of a destination, by which its lease and its last delivery are found."""

from __future__ import annotations

import hashlib
import os
import posixpath

from stager.paths import Location


def destination_key(destination: Location) -> str:
    """Return the key of a destination, which is the same for all users and through all areas.

    Parameters
    ----------
    destination
        The place; symbolic links on the way to its area's root are followed.
        Beneath the root no method follows any, so names tell places apart.

    Returns
    -------
    str
        64 hexadecimal digits: the SHA-256 of the absolute path. Long binary
        paths cannot be an InnoDB key.
    """
    root = os.fsencode(os.path.realpath(destination.root))
    return hashlib.sha256(posixpath.join(root, *destination.parts)).hexdigest()
