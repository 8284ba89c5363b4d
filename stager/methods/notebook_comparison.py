"""Whether what a notebook server shows at a place is what would be delivered there."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Callable, Iterator

from stager.checksums import SHA256, Checksum
from stager.engine import Control
from stager.engine.source import Source
from stager.methods.notebook_path import NotebookPath
from stager.methods.product_files import ProductFile, below, product_files
from stager.methods.product_sums import fingerprint_of, manifest_entry, require, sums_of
from stager.peers.jupyter import Contents, Entry, look_with_checksum
from stager.vocabulary import ManifestEntry


class NotebookDiffers(Exception):
    """Raised at the first difference, with it in words."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"{path or 'it'} {what}")


def fingerprint_there(contents: Contents, place: NotebookPath, source: Source) -> str:
    """Return the `fingerprint_of` of what the server has under the names of a source, of which nothing is read.

    Raises
    ------
    NotebookDiffers
        It is not under the same names, or the server tells no checksums.
    """
    found = _told(contents, place, source)
    return fingerprint_of((each.path, entry.sha256 or "", entry.size_bytes or 0) for each, entry in found)


def difference(
    contents: Contents,
    place: NotebookPath,
    source: Source,
    *,
    wanted: Checksum | None,
    on_file: Callable[[ManifestEntry], None],
    control: Control,
) -> str | None:
    """Return the first difference in words, or None; the source is read, and of the place the server tells checksums.

    Raises
    ------
    SourceMismatch
        They are the same, and have another checksum than the request says.
    """
    try:
        for each, entry in _told(contents, place, source):
            display = below(source.display, each.path)
            sums = sums_of(each, display, control.advance, wanted)
            if sums[SHA256].value != entry.sha256:
                raise NotebookDiffers(each.path, "has another content than the source")  # noqa: TRY301
            require(display, wanted, sums)
            on_file(manifest_entry(source, each.path, each.status.st_size, sums))
    except NotebookDiffers as found:
        return str(found)
    return None


def _told(contents: Contents, place: NotebookPath, source: Source) -> Iterator[tuple[ProductFile, Entry]]:
    """Yield each file of a source with what the server tells of its place; raise at what differs without reading."""
    children: dict[str, set[str]] = defaultdict(set)
    folders = []
    for each in product_files(source):
        path = f"{place.path}/{each.path}" if each.path else place.path
        entry = _same_kind(contents, path, each)
        if each.path:
            folder, _, name = each.path.rpartition("/")
            children[folder].add(name)
        if each.is_directory:
            folders.append((path, each.path))
        else:
            yield each, entry
    for path, folder in folders:
        if more := {entry.name for entry in contents.list(path)} - children[folder]:
            raise NotebookDiffers(posixpath.join(folder, min(more)), "is only there")


def _same_kind(contents: Contents, path: str, each: ProductFile) -> Entry:
    entry = contents.look(path)
    if entry is None:
        raise NotebookDiffers(each.path, "is not there")
    if entry.is_directory != each.is_directory:
        kinds = {True: "a directory", False: "a file"}
        raise NotebookDiffers(each.path, f"is {kinds[entry.is_directory]}, the source is {kinds[each.is_directory]}")
    if each.is_directory:
        return entry
    size = each.status.st_size
    if entry.size_bytes != size:
        raise NotebookDiffers(each.path, f"has {entry.size_bytes} bytes, the source has {size}")
    entry = look_with_checksum(contents, path, size_bytes=size)
    if entry is None or entry.sha256 is None:
        raise NotebookDiffers(each.path, "has no checksum that the notebook server tells")
    return entry
