"""Keys as every object store takes them, and gives them back."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from stager.errors import KeyNotTaken, readable

MAX_KEY_BYTES = 1024
# What the XML of a listing cannot hold, or changes.
_NOT_IN_XML = {*map(chr, range(0x20)), "\ufffe", "\uffff"}


def key_of(prefix: str, path: str | bytes) -> str:
    """Return the key of a path below a prefix, with the path's own bytes.

    Parameters
    ----------
    prefix
        Without a slash at its ends; where empty, keys begin with the path.
    path
        As the file system has it; of a text, bytes that are no UTF-8 are surrogates.

    Raises
    ------
    KeyNotTaken
        With the name that is in the way, and why.

    Notes
    -----
    Names that only look alike stay two: nothing is composed (`same_when_composed`).
    """
    raw = path if isinstance(path, bytes) else path.encode("utf-8", "surrogateescape")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise KeyNotTaken(path, "it is not UTF-8") from error
    key = f"{prefix}/{text}" if prefix else text
    check_key(key)
    return key


def check_key(key: str) -> None:
    """Refuse a key that an object store would refuse, or take for another.

    Raises
    ------
    KeyNotTaken
        With what is in the way.

    Notes
    -----
    Names of objects: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html.
    """
    for name in key.split("/"):
        if not name:
            raise KeyNotTaken(key, "a name is empty")
        if name in {".", ".."}:
            raise KeyNotTaken(key, f"{name!r} is no name: what builds addresses would leave it out")
        if found := _NOT_IN_XML.intersection(name):
            raise KeyNotTaken(key, f"{readable(name)!r} has the character U+{ord(min(found)):04X}")
    if len(key.encode()) > MAX_KEY_BYTES:
        raise KeyNotTaken(key, f"it is longer than {MAX_KEY_BYTES} bytes")


def same_when_composed(paths: Iterable[str]) -> tuple[str, str] | None:
    """Return the first two different paths that are shown as one (Unicode's NFC), or None."""
    seen: dict[str, str] = {}
    for path in paths:
        first = seen.setdefault(unicodedata.normalize("NFC", path), path)
        if first != path:
            return first, path
    return None
