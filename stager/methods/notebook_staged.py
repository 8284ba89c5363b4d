"""What is at a notebook server under a temporary name, until it is published or removed."""

from __future__ import annotations

import posixpath
import re
import secrets
from dataclasses import dataclass, field
from typing import Literal

from stager.checksums import ADLER32
from stager.errors import DestinationNotWritable, DestinationTampered, PeerRefused
from stager.methods.method import KEY_DIGITS
from stager.methods.notebook_path import TEMPORARY, NotebookPath
from stager.methods.product_files import below
from stager.methods.product_sums import fingerprint_of, manifest_checksum
from stager.peers.jupyter import (
    Contents,
    Entry,
    NotDoneByKernel,
    Uploaded,
    check,
    is_as_told,
    look_with_checksum,
    remove_by_kernel,
)
from stager.records.items import destination_key

# A temporary name, or that of something which was to be replaced by what has, or had, the temporary name in it.
LEFTOVER = re.compile(f"(?P<temporary>{TEMPORARY.pattern}[0-9a-f]{{16}})(-(?P<replaced>.+))?", re.DOTALL)


def temporary_name(place: NotebookPath) -> str:
    """Return a name that nobody else uses; it tells which destination it is for, and so whose lease."""
    return f"stager-{destination_key(place)[:KEY_DIGITS]}-{secrets.token_hex(8)}"


def name_aside(temporary: str, name: str) -> str:
    """Return the name that something has while it is replaced by what has a temporary name; it tells both."""
    return f"{temporary}-{name}"


@dataclass(kw_only=True, eq=False)
class NotebookStaged:
    """A product under a temporary name.

    Attributes
    ----------
    temporary
        Its path there.
    previous
        What was at the destination when the transfer began.
    made
        Folders that were made for it, the uppermost first.
    files
        Those that have arrived, by their paths in the product; that of a lone file is empty.
    folders
        Those in the product, its own among them.
    left_writable
        Why it could not be made read-only.
    is_put_aside
        Whether what was at the destination may have another name.
    is_published
        Whether it has its final name.
    """

    place: NotebookPath
    temporary: str
    previous: Entry | None
    made: list[str] = field(default_factory=list)
    files: dict[str, Uploaded] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    left_writable: str | None = None
    is_put_aside: bool = False
    is_published: bool = False

    @property
    def aside(self) -> str:
        """The path of what is replaced, for a moment."""
        return name_aside(self.temporary, self.place.names[-1])

    @property
    def kind(self) -> Literal["file", "directory"]:
        """Whether it is a file or a directory."""
        return "directory" if self.folders else "file"

    @property
    def fingerprint(self) -> str:
        """What `fingerprint_there` gives as long as nobody changes it; empty where the server tells no checksums."""
        if not all(file.is_verified for file in self.files.values()):
            return ""
        return fingerprint_of((path, file.sha256, file.size_bytes) for path, file in self.files.items())

    @property
    def left_unverified(self) -> str | None:
        """Why of some files only the sizes are known to be right."""
        if all(file.is_verified for file in self.files.values()):
            return None
        return "the notebook server tells no checksum"

    @property
    def manifest_checksum(self) -> str:
        """The SHA-256 over the manifest's lines, as a mounted copy has it."""
        files = self.files.items()
        return manifest_checksum((path, file.checksums[ADLER32].value, file.size_bytes) for path, file in files)

    def path(self, inner: str, *, at: str = "") -> str:
        """Return the path at the server of something in the product."""
        return below(at or self.temporary, inner)


def require_untouched(contents: Contents, staged: NotebookStaged, *, at: str) -> None:
    """Raise `DestinationTampered` unless all that was brought is there as it arrived, and nothing else.

    Where a kernel told of all files, it is asked once; else a directory costs one call for
    each folder, and of what the server does not list (``*.pyc``), one for each.
    """
    if not staged.folders:
        check(staged.files[""], _there(contents.look(at), at), at)
        return
    as_told = _is_as_kernel_told(contents, staged, at=at)
    if as_told:
        return
    inner: dict[str, set[str]] = {folder: set() for folder in staged.folders}
    for path in (*staged.files, *staged.folders[1:]):
        inner[posixpath.dirname(path)].add(path)
    for folder, paths in inner.items():
        where = staged.path(folder, at=at)
        _there(contents.look(where), where)
        listed = {posixpath.join(folder, entry.name): entry for entry in contents.list(where)}
        if more := listed.keys() - paths:
            raise DestinationTampered(staged.path(min(more), at=at), "somebody put it there")
        for path in paths:
            _require_same(contents, staged.files.get(path), listed.get(path), staged.path(path, at=at))
    if as_told is False:
        raise DestinationTampered(at, "something in it is not as it arrived")


def _is_as_kernel_told(contents: Contents, staged: NotebookStaged, *, at: str) -> bool | None:
    """Return whether a kernel says that a directory is as it told before; None where it cannot tell."""
    files = [(path, file.size_bytes, file.modified_ns) for path, file in staged.files.items()]
    told = [(path, size, modified) for path, size, modified in files if modified is not None]
    try:
        return is_as_told(contents, at, staged.folders[1:], told) if len(told) == len(files) else None
    except NotDoneByKernel:
        return None


def _require_same(contents: Contents, sent: Uploaded | None, entry: Entry | None, path: str) -> None:
    entry = _there(entry or contents.look(path), path)
    if sent is not None and sent.is_verified and sent.last_modified is None:  # only a kernel told when it was written
        entry = _there(look_with_checksum(contents, path, size_bytes=sent.size_bytes), path)
    if sent is not None:
        check(sent, entry, path)


def _there(entry: Entry | None, path: str) -> Entry:
    if entry is None:
        raise DestinationTampered(path, "it is gone")
    return entry


def remove(contents: Contents, path: str) -> None:
    """Remove a file, or a directory with all that is in it; by a kernel, what is read-only or not listed.

    Raises
    ------
    DestinationNotWritable, PeerRefused
        It cannot be removed.
    """
    try:
        contents.delete(path)
    except (DestinationNotWritable, PeerRefused):
        remove_by_kernel(contents, path)
        contents.delete(path)
