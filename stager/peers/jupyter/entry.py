"""A file or a directory, as a notebook server describes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stager.errors import PeerFault


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A file or a directory, as a notebook server describes it.

    Attributes
    ----------
    last_modified
        As the server writes it.
    sha256
        Where it was asked for, and the server knows it.
    """

    name: str
    is_directory: bool
    size_bytes: int | None
    is_writable: bool
    last_modified: str | None = None
    sha256: str | None = None


def entry_of(model: Any, peer: str) -> Entry:  # noqa: ANN401 - JSON
    """Return what a notebook server's JSON describes.

    Raises
    ------
    PeerFault
        It is none of a file's or directory's.
    """
    try:
        return Entry(
            name=str(model["name"]),
            is_directory=model["type"] == "directory",
            size_bytes=None if model.get("size") is None else int(model["size"]),
            is_writable=bool(model["writable"]),
            last_modified=_text(model.get("last_modified")),
            sha256=model.get("hash") if model.get("hash_algorithm") == "sha256" else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise PeerFault(peer, f"it describes a file in a way that is not known: {error!r}") from error


def _text(said: object) -> str | None:
    return said if isinstance(said, str) else None
