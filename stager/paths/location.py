"""A place in a storage area by its names; nothing is opened yet."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from stager.errors import InvalidPath, PathOutsideArea

MAX_PATH_BYTES = 4096
MAX_NAME_BYTES = 255
RESERVED_PREFIX = b".stager-"


@dataclass(frozen=True, slots=True)
class Location:
    """A place beneath an area's root: names only, none of them ``.`` or ``..``."""

    root: Path
    parts: tuple[bytes, ...]

    @property
    def display(self) -> str:
        """The whole path, for messages only: it is never opened."""
        return os.fsdecode(b"/".join([os.fsencode(self.root), *self.parts]))

    @property
    def parent(self) -> Location:
        """The folder that it is in; the root's is the root."""
        return Location(self.root, self.parts[:-1])

    @property
    def name(self) -> bytes:
        """Its own name; the root has none."""
        return self.parts[-1] if self.parts else b""


def locate(root: Path, text: str, *, inside: str | None = None, may_be_absolute: bool = False) -> Location:
    """Return the place that a user's path names in an area, by lexical rules alone.

    Empty and ``.`` components say nothing and are dropped; ``..`` is never
    resolved but refused, because with symbolic links it means another place
    to each reader.

    Parameters
    ----------
    root
        Where the area is mounted: the operator's, trusted.
    text
        The path; bytes that are not UTF-8 appear in it as lone surrogates (PEP 383).
    inside
        One folder of the area that the path is relative to: a user's.
    may_be_absolute
        An absolute path is taken when it lies inside the area (and the folder).

    Raises
    ------
    InvalidPath
        Empty, nothing but dots and slashes, a NUL, over 4096 bytes, a name over 255 bytes.
    PathOutsideArea
        A ``..``, or an absolute path that is not allowed or not inside.
    """
    base = () if inside is None else (_folder(inside),)
    parts = _components(_encoded(text))
    if b".." in parts:
        raise PathOutsideArea(text, str(root))
    if text.startswith("/"):
        prefix = (*_components(os.fsencode(root)), *base)
        if not may_be_absolute or parts[: len(prefix)] != prefix:
            raise PathOutsideArea(text, str(root))
        parts = parts[len(prefix) :]
    if not parts:
        raise InvalidPath(text, "it names nothing")
    return Location(root, (*base, *parts))


def _folder(name: str) -> bytes:
    folder = _encoded(name)
    if b"/" in folder or folder in (b".", b".."):
        raise InvalidPath(name, "it is not the name of a folder")
    return folder


def _encoded(text: str) -> bytes:
    try:
        encoded = os.fsencode(text)
    except UnicodeEncodeError as error:
        raise InvalidPath(ascii(text), "it has a character that no name can have") from error
    reason = _fault(encoded)
    if reason:
        raise InvalidPath(encoded, reason)
    return encoded


def _fault(path: bytes) -> str | None:
    if not path:
        return "it is empty"
    if b"\0" in path:
        return "it has a NUL"
    if len(path) > MAX_PATH_BYTES:
        return f"it has more than {MAX_PATH_BYTES} bytes"
    if any(len(name) > MAX_NAME_BYTES for name in path.split(b"/")):
        return f"a name in it has more than {MAX_NAME_BYTES} bytes"
    return None


def _components(path: bytes) -> tuple[bytes, ...]:
    return tuple(name for name in path.split(b"/") if name not in (b"", b"."))
