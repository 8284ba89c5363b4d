"""The survey of a source by stat(2) alone: its size, that it can be staged, and its fingerprint."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from stager.engine.fingerprint import Contents, FingerprintWalk, OnSpecial, fingerprint_of_file
from stager.engine.mapping import unread
from stager.engine.source import Source, opened, refuse_special
from stager.engine.symlinks import refuse_leading_out
from stager.engine.walk import Folder
from stager.paths import Location
from stager.slices.helpers import Helpers
from stager.slices.looking import allocated_bytes


@dataclass(frozen=True)
class Survey:
    """What a survey found at a source.

    ``fingerprint`` is the SHA-256 of one line for each thing in the product,
    in the walk's order, the product itself last: path, mode, size, mtime,
    ctime, inode, a link's text. ``allocated_bytes`` leaves out the holes of
    sparse files.
    """

    kind: Literal["file", "directory"]
    size_bytes: int
    file_count: int
    fingerprint: str
    allocated_bytes: int


def survey(source: Location, *, depth: int | None = None) -> Survey:
    """Survey a source, without reading any of it.

    Memory is that of one directory's names for each level.

    Parameters
    ----------
    source
        Where it is; symbolic links are followed while they stay in the area.
    depth
        0 looks at the source alone, not at what is under a directory.

    Raises
    ------
    SourceNotFound, SourceUnreadable, PathOutsideArea
        As its path says.
    UnsupportedFileType, SymlinkLeadsOut
        Something in it cannot be staged; named.
    SourceChanged
        Something in it vanished meanwhile.
    """
    with opened(source) as found:
        return survey_opened(found, depth=depth) if found.is_directory else survey_of_file(found.status)


def survey_opened(source: Source, *, depth: int | None = None, helpers: Helpers | None = None) -> Survey:
    """Survey a source that is open already, with some helpers."""
    if not source.is_directory:
        return survey_of_file(os.fstat(source.content.fd))
    contents = Contents()
    if depth != 0:
        helpers = helpers or Helpers()
        look = FingerprintWalk(source.display, helpers, failed=unread, on_special=_refusing(source))
        look.walk(Folder(path="", source=source.content))
        helpers.finish()
        contents = look.contents
    return Survey(
        kind="directory",
        size_bytes=contents.size_bytes,
        file_count=contents.file_count,
        fingerprint=contents.closed_with(os.fstat(source.content.fd)),
        allocated_bytes=contents.allocated_bytes,
    )


def survey_of_file(status: os.stat_result) -> Survey:
    """Return the survey of a regular file, by its status."""
    return Survey(
        kind="file",
        size_bytes=status.st_size,
        file_count=1,
        fingerprint=fingerprint_of_file(status),
        allocated_bytes=allocated_bytes(status),
    )


def _refusing(source: Source) -> OnSpecial:
    def judge(status: os.stat_result, path: str, target: str) -> None:
        refuse_special(status, f"{source.display}/{path}")
        refuse_leading_out(source.content.fd, link=path, target=target, display=source.display)

    return judge
