"""Removal of what was delivered to a notebook server, unless somebody has changed it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

from stager.errors import DestinationDiffers, StagingError
from stager.methods.notebook_comparison import NotebookDiffers
from stager.methods.notebook_path import NotebookPath
from stager.methods.notebook_staged import remove, temporary_name
from stager.methods.product_files import below
from stager.methods.product_sums import fingerprint_of
from stager.peers.jupyter import Contents, Entry, look_with_checksum

# How many folders a directory may have beyond as many as it has files: a server could show them without end.
_MORE_FOLDERS = 1000


def remove_delivered(
    contents: Contents, place: NotebookPath, *, fingerprint: str, paths: Sequence[str], confirm: Callable[[], None]
) -> bool:
    """Remove a file or a directory as it was delivered, and return whether something was there.

    It gets a temporary name first, and is removed under that: what a process that is killed leaves, a sweep removes.

    Parameters
    ----------
    fingerprint
        Of the delivery, by `fingerprint_of`.
    paths
        Those of a directory's files, in the fingerprint's order.
    confirm
        Called right before the rename. What it raises stops it.

    Raises
    ------
    DestinationDiffers
        It is not what was delivered, or the server tells no checksums; it was not changed.
    DestinationNotWritable
        It is read-only, and the server gives no kernel that removes it; what is left has a temporary name.
    StagingError
        As by `Contents`.
    """
    entry = contents.look(place.path)
    if entry is None:
        return False
    inner = paths if entry.is_directory else [""]
    aside = place.beside(temporary_name(place))
    try:
        found = _found(contents, place.path, inner)
        _require(contents, place, inner, fingerprint=fingerprint, found=found)
        confirm()
        contents.rename(place.path, aside)
        try:
            if _found(contents, aside, inner) != found:
                raise NotebookDiffers("", "was written meanwhile")  # noqa: TRY301
        except BaseException:
            with suppress(StagingError):
                contents.rename(aside, place.path)
            raise
    except NotebookDiffers as difference:
        raise DestinationDiffers(place.display, f"it is not what was delivered, and stays: {difference}") from None
    remove(contents, aside)
    return True


def _require(
    contents: Contents,
    place: NotebookPath,
    inner: Sequence[str],
    *,
    fingerprint: str,
    found: Mapping[str, tuple[int | None, str | None]],
) -> None:
    def told() -> Iterator[tuple[str, str, int]]:
        for path in inner:
            size = found[path][0] or 0
            entry = look_with_checksum(contents, below(place.path, path), size_bytes=size)
            if entry is None or entry.sha256 is None:
                raise NotebookDiffers(path, "has no checksum that the notebook server tells")
            yield path, entry.sha256, size

    if not fingerprint or fingerprint_of(told()) != fingerprint:
        raise NotebookDiffers("", "has another content")


def _found(contents: Contents, top: str, inner: Sequence[str]) -> dict[str, tuple[int | None, str | None]]:
    """Return size and time of each file of a product; raise where one is missing, or one is more.

    The server does not list some names (``*.pyc``): those are looked at one by one.
    """
    most = len(inner) + _MORE_FOLDERS
    listed = {} if inner == [""] else dict(_listed(contents, top, most=most))
    if more := listed.keys() - inner:
        raise NotebookDiffers(min(more), "is only there")
    files: dict[str, tuple[int | None, str | None]] = {}
    for path in inner:
        entry = listed.get(path) or contents.look(below(top, path))
        if entry is None or entry.is_directory:
            raise NotebookDiffers(path, "is not there")
        files[path] = entry.size_bytes, entry.last_modified
    return files


def _listed(contents: Contents, top: str, *, most: int) -> Iterator[tuple[str, Entry]]:
    """Yield the files that the server lists in a directory and below, by their paths in it."""
    folders = [""]
    for folder in folders:
        if len(folders) > most:
            raise NotebookDiffers(folder, "is only there")
        for entry in contents.list(below(top, folder)):
            path = below(folder, entry.name)
            if entry.is_directory:
                folders.append(path)
            else:
                yield path, entry
