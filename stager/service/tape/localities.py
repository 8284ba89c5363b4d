"""Where a file is: in the storage, which is the tape of this site, in the user's area, its disk, or in both."""

from __future__ import annotations

import os
from pathlib import Path

from stager.errors import SourceNotFound, StagingError, StorageFault
from stager.paths import Location, Symlinks, locate, open_area, open_location
from stager.service.callers.caller import Caller
from stager.service.downloads.access import Access, access_to
from stager.service.downloads.source import in_words
from stager.service.tape.answers import ArchiveInfo, Locality
from stager.service.tape.paths import source_of


def archive_info(caller: Caller, path: str, *, users_file: Path | None) -> ArchiveInfo:
    """Return where a file is, or what hinders us from knowing: it never raises for a path.

    On disk is what the caller has in their own area at the same path, by
    whatever way it came there. What the caller may not look at is not told.
    """
    try:
        return ArchiveInfo(path=path, locality=_locality(caller, source_of(path), users_file))
    except StorageFault:
        return ArchiveInfo(path=path, locality=Locality.UNAVAILABLE)
    except StagingError as error:
        return ArchiveInfo(path=path, error=error.message)


def _locality(caller: Caller, source: str, users_file: Path | None) -> Locality:
    caller.check_area("source")
    is_archived = _is_there(access_to("source", caller.username, users_file=users_file), source)
    is_on_disk = caller.username is not None and _is_there(
        access_to("user", caller.username, users_file=users_file), source
    )
    if not (is_archived or is_on_disk):
        raise SourceNotFound(source)
    if is_archived:
        return Locality.DISK_AND_TAPE if is_on_disk else Locality.TAPE
    return Locality.DISK


def _is_there(access: Access, path: str) -> bool:
    with access.reading():
        return _is_at(locate(access.area.path, path, inside=access.inside))


def _is_at(location: Location) -> bool:
    """Return whether something is at a place; a link is something, wherever it leads."""
    try:
        open_area(location.root).close()
    except OSError as error:  # where the area itself is missing, no file of it is known to be
        raise StorageFault(str(location.root), error.strerror or str(error)) from error
    try:
        with open_location(location.parent, os.O_PATH | os.O_DIRECTORY, Symlinks.FOLLOWED_BENEATH) as folder:
            os.stat(location.name, dir_fd=folder.fd, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise in_words(error, location) from error
    return True
