"""What is at a notebook server under a temporary name, until it is published or removed."""

from __future__ import annotations

import hashlib
import posixpath
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from stager.checksums import ADLER32, Checksum, ChecksumAlgorithm
from stager.engine import Control
from stager.engine.source import Source
from stager.errors import DestinationNotWritable, DestinationTampered, PeerRefused
from stager.methods.method import KEY_DIGITS
from stager.methods.notebook_comparison import fingerprint_of
from stager.methods.notebook_path import TEMPORARY, NotebookPath
from stager.methods.product_files import product_files
from stager.methods.repeated_upload import repeated
from stager.peers.jupyter import Contents, Entry, Uploaded, check, remove_by_kernel, upload
from stager.records.items import destination_key
from stager.vocabulary import ManifestEntry

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
        lines = (f"{file.checksums[ADLER32].value} {file.size_bytes} {path}\n" for path, file in self.files.items())
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def path(self, inner: str, *, at: str = "") -> str:
        """Return the path at the server of something in the product."""
        top = at or self.temporary
        return f"{top}/{inner}" if inner else top


def bring(
    contents: Contents,
    source: Source,
    staged: NotebookStaged,
    *,
    algorithms: Sequence[ChecksumAlgorithm],
    on_file: Callable[[ManifestEntry], None],
    control: Control,
) -> None:
    """Bring a source under its temporary name, file by file, each verified."""
    for each in product_files(source):
        path = staged.path(each.path)
        if each.is_directory:
            contents.make_directory(path)
            staged.folders.append(each.path)
            control.advance(0)
            continue
        send = partial(
            upload,
            contents,
            each.content.fd,
            path,
            source_name=f"{source.display}/{each.path}" if each.path else source.display,
            algorithms=algorithms,
        )
        uploaded = repeated(send, on_bytes=control.advance) if each.path else send(on_bytes=control.advance)
        staged.files[each.path] = uploaded
        control.advance(0, 1)
        adler32: Checksum = uploaded.checksums[ADLER32]
        name = each.path or source.name.decode("utf-8", "surrogateescape")
        on_file(ManifestEntry(path=name, size_bytes=uploaded.size_bytes, checksum=adler32.value))


def require_untouched(contents: Contents, staged: NotebookStaged, *, at: str) -> None:
    """Raise `DestinationTampered` unless all that was brought is there as it arrived, and nothing else.

    A directory costs one call for each folder; the server does not list some names
    (``*.pyc``), and of these, one for each.
    """
    if not staged.folders:
        check(staged.files[""], _there(contents.look(at), at), at)
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
            whole = staged.path(path, at=at)
            entry = _there(listed.get(path) or contents.look(whole), whole)
            if path in staged.files:
                check(staged.files[path], entry, whole)


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
