"""Where a file is: in the storage, which is the tape of this site, in the user's area, its disk, or in both."""

from __future__ import annotations

import os

from stager.errors import SourceNotFound, StagingError, StorageFault
from stager.models import StorageArea
from stager.paths import Location, Symlinks, locate, open_area, open_location
from stager.service.areas import resolve_area
from stager.service.callers.caller import Caller
from stager.service.downloads.source import in_words
from stager.service.tape.answers import ArchiveInfo, Locality
from stager.service.tape.paths import source_of


def archive_info(caller: Caller, path: str) -> ArchiveInfo:
    """Return where a file is, or what hinders us from knowing: it never raises for a path.

    On disk is what the caller has in their own area at the same path, by
    whatever way it came there.
    """
    try:
        return ArchiveInfo(path=path, locality=_locality(caller, source_of(path)))
    except StorageFault:
        return ArchiveInfo(path=path, locality=Locality.UNAVAILABLE)
    except StagingError as error:
        return ArchiveInfo(path=path, error=error.message)


def _locality(caller: Caller, source: str) -> Locality:
    caller.check_area("source")
    storage = resolve_area("source")
    is_archived = _is_at(locate(storage.path, source))
    is_on_disk = caller.username is not None and _is_delivered(resolve_area("user"), source, caller.username)
    if not (is_archived or is_on_disk):
        raise SourceNotFound(source)
    if is_archived:
        return Locality.DISK_AND_TAPE if is_on_disk else Locality.TAPE
    return Locality.DISK


def _is_delivered(area: StorageArea, path: str, username: str) -> bool:
    return _is_at(locate(area.path, path, inside=username if area.per_user else None))


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
