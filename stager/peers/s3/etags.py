"""ETags as stores make them that follow Amazon's: of the MD5s of what was sent."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

from stager.checksums import MD5, Checksum, ChecksumAlgorithm
from stager.peers.open_source import OpenSource


def etag_of_parts(md5s: Sequence[str]) -> str:
    """Return the ETag of what was sent in parts, from the MD5 of each."""
    return f"{hashlib.md5(b''.join(map(bytes.fromhex, md5s)), usedforsecurity=False).hexdigest()}-{len(md5s)}"


def etag_of(
    descriptor: int,
    source_name: str,
    *,
    part_bytes: int | None,
    algorithms: Sequence[ChecksumAlgorithm] = (),
    on_bytes: Callable[[int], None],
) -> tuple[str, Mapping[ChecksumAlgorithm, Checksum]]:
    """Return what the ETag of an open file is where it was sent in such parts, and its checksums, by one reading.

    Parameters
    ----------
    part_bytes
        None where it was sent by one call.
    on_bytes
        Called with the length of each block that was read; what it raises ends the reading.

    Raises
    ------
    SourceChanged, StorageFault
        The file is not what it was at the beginning, or cannot be read.
    """
    source = OpenSource(descriptor, source_name, (MD5, *algorithms))
    size, md5s = source.size_bytes, []
    for start in range(0, max(size, 1), part_bytes or max(size, 1)):
        part = hashlib.md5(usedforsecurity=False)
        for block in source.blocks(start, min(start + (part_bytes or size), size)):
            part.update(block)
            on_bytes(len(block))
        md5s.append(part.hexdigest())
    source.require_unchanged()
    return etag_of_parts(md5s) if part_bytes else md5s[0], source.sums.checksums
