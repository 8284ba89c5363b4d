"""Locations: places in a storage area by their names, without opening anything."""

from __future__ import annotations

import os
import posixpath
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import AnyStr

from stager.errors import InvalidPath, PathOutsideArea
from stager.paths.descriptor import Descriptor

MAX_PATH_BYTES = 4096
MAX_NAME_BYTES = 255
RESERVED_PREFIX = b".stager-"


@dataclass(frozen=True, slots=True)
class Location:
    """A place beneath a root, an area's or a user's folder: names only, none of them ``.`` or ``..``.

    ``held`` is the root where it is open already: a user's folder is entered
    by it, whatever its area lets users do, and whatever its name leads to by
    then. Without it, the root is opened by its path.

    A source that ``is_direct`` is reached through no symbolic link, and is
    none: what a caller may read ends at a name on the way, and a link would
    lead past it.
    """

    root: Path
    parts: tuple[bytes, ...]
    held: Descriptor | None = field(default=None, compare=False, repr=False)
    is_direct: bool = False
    _display: str = field(default="", init=False, compare=False, repr=False)

    @property
    def key(self) -> str:
        """Its absolute path, the same through whichever area.

        Symbolic links on the way to the root are followed. Beneath the root
        no method follows any at a destination, so names tell places apart.
        """
        return self.below(Path(os.path.realpath(self.root)))

    @property
    def display(self) -> str:
        """The whole path, for messages only: it is never opened."""
        if not self._display:
            object.__setattr__(self, "_display", self.below(self.root))
        return self._display

    def below(self, root: Path) -> str:
        """Return the path of its names below another root, for instance where users see that."""
        return posixpath.join(root, os.fsdecode(b"/".join(self.parts))) if self.parts else os.fspath(root)

    @property
    def parent(self) -> Location:
        """The folder that it is in; for the root, the root itself."""
        return replace(self, parts=self.parts[:-1])

    @property
    def name(self) -> bytes:
        """Its own name; the root has none."""
        return self.parts[-1] if self.parts else b""


def locate(
    root: Path,
    text: str,
    *,
    held: Descriptor | None = None,
    may_be_absolute: bool = False,
    is_direct: bool = False,
) -> Location:
    """Return the place that a user's path names beneath a root, by lexical rules alone.

    Empty and ``.`` components say nothing and are dropped; ``..`` is never
    resolved but refused, because with symbolic links it means another place
    to each reader.

    Parameters
    ----------
    root
        Where the area is mounted, or the user's folder in it (`user_folder`).
    text
        The path; bytes that are not UTF-8 appear in it as lone surrogates (PEP 383).
    held
        The root, where it is open already.
    may_be_absolute
        An absolute path is taken when it lies beneath the root.
    is_direct
        No symbolic link is followed to it, as `Location` says.

    Raises
    ------
    InvalidPath
        Empty, nothing but dots and slashes, a NUL, over 4096 bytes, a name over 255 bytes.
    PathOutsideArea
        A ``..``, or an absolute path that is not allowed or not beneath.
    """
    parts = tuple(names_in(_encoded(text)))
    if b".." in parts:
        raise PathOutsideArea(text, str(root))
    if text.startswith("/"):
        prefix = tuple(names_in(os.fsencode(root)))
        if not may_be_absolute or parts[: len(prefix)] != prefix:
            raise PathOutsideArea(text, str(root))
        parts = parts[len(prefix) :]
    if not parts:
        raise InvalidPath(text, "it names nothing")
    return Location(root, parts, held, is_direct)


def names_in(path: AnyStr) -> list[AnyStr]:
    """Return the names that a path is made of, without ``.`` and superfluous slashes."""
    slash, dot = ("/", ".") if isinstance(path, str) else (b"/", b".")
    return [name for name in path.split(slash) if name not in (path[:0], dot)]


def user_folder(area: Path, username: str) -> Path:
    """Return the path of a user's folder in an area.

    Raises
    ------
    InvalidPath
        The name is not that of one folder.
    """
    folder = _encoded(username)
    if b"/" in folder or folder in (b".", b".."):
        raise InvalidPath(username, "it is not the name of a folder")
    return area / os.fsdecode(folder)


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
