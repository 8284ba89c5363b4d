"""Items as JSON, in which they are sent to a mover."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from stager.checksums import Checksum
from stager.engine import Expected, Modes
from stager.methods import Item, LastCopy, mounted
from stager.paths import Descriptor, Lender, LentFolder, Location
from stager.vocabulary import OnConflict

# The number of the lent folder that an item's source is in.
SOURCE = 0


def told(item: Item) -> dict[str, Any]:
    """Return an item as JSON; bytes of a name that are not UTF-8 become lone surrogates (PEP 383)."""
    last, modes = item.last_copy, item.modes
    return {
        "source": told_source(item.source),
        "source_seen_at": os.fspath(item.source_seen_at),
        "read_as": item.read_as,
        "destination": told_place(mounted(item.destination)),
        "modes": [modes.file, modes.directory, modes.folder],
        "on_conflict": item.on_conflict.value,
        "expected": [item.expected.checksum, item.expected.size_bytes],
        "last_copy": last and [last.file_id, last.source_fingerprint, last.destination_fingerprint, last.checksum],
    }


def understood(said: Mapping[str, Any], roots: Mapping[Path, Descriptor], *, lender: Lender) -> Item:
    """Return the item that a message describes.

    Parameters
    ----------
    roots
        Those that are open already.
    lender
        Lends the source where it is read with the service's rights.
    """
    source = readable_source(said["source"], roots, read_as=said["read_as"], lender=lender)
    checksum, size_bytes = said["expected"]
    file_mode, directory_mode, folder_mode = said["modes"]
    return Item(
        source=source,
        source_seen_at=Path(said["source_seen_at"]),
        read_as=said["read_as"],
        destination=place(said["destination"], roots),
        modes=Modes(file=file_mode, directory=directory_mode, folder=folder_mode),
        on_conflict=OnConflict(said["on_conflict"]),
        expected=Expected(checksum=checksum and Checksum(*checksum), size_bytes=size_bytes),
        last_copy=said["last_copy"] and _last_copy(*said["last_copy"]),
    )


def readable_source(
    said: Mapping[str, Any], roots: Mapping[Path, Descriptor], *, read_as: str, lender: Lender
) -> Location:
    """Return the source that a message describes; the lender lends it where it is read with the service's rights."""
    source = source_of(said, roots)
    return replace(source, held=LentFolder(-1, lender, SOURCE)) if read_as == "service" else source


def told_source(source: Location) -> dict[str, Any]:
    """Return a source as JSON."""
    return {"place": told_place(source), "is_direct": source.is_direct}


def source_of(said: Mapping[str, Any], roots: Mapping[Path, Descriptor]) -> Location:
    """Return the source that a message describes."""
    return place(said["place"], roots, is_direct=said["is_direct"])


def place(said: list[str], roots: Mapping[Path, Descriptor], *, is_direct: bool = False) -> Location:
    """Return the location that a message describes: its root, and the names beneath."""
    root = _path(said[0])
    return Location(root, tuple(map(os.fsencode, said[1:])), roots.get(root), is_direct)


@lru_cache(maxsize=16)
def _path(root: str) -> Path:
    return Path(root)  # one for all items of a batch


def told_place(location: Location) -> list[str]:
    """Return a location as JSON."""
    return [os.fspath(location.root), *map(os.fsdecode, location.parts)]


def _last_copy(file_id: int, source: str, destination: str, checksum: Any) -> LastCopy:  # noqa: ANN401 - as JSON has it
    return LastCopy(
        file_id=file_id,
        source_fingerprint=source,
        destination_fingerprint=destination,
        checksum=checksum and Checksum(*checksum),
    )
