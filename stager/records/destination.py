"""One destination, one key: what leases and our own receipts are found by."""

from __future__ import annotations

import hashlib

from stager.records.columns import path_bytes


def destination_key(area: str, owner: str, path: str) -> str:
    """Return the key of a destination.

    Parameters
    ----------
    area
        The destination area's name.
    owner
        Whose folder the path is relative to; empty in an area without folders.
    path
        The path as the request gives it; ``a//b``, ``./a/b`` and ``a/b/`` are one.

    Returns
    -------
    str
        64 hexadecimal digits: the SHA-256 of the three. Long binary paths
        cannot be an InnoDB key.
    """
    components = [part for part in path_bytes(path).split(b"/") if part not in (b"", b".")]
    return hashlib.sha256(b"\0".join([area.encode(), owner.encode(), b"/".join(components)])).hexdigest()
