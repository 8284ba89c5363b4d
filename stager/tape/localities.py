"""Where a file is: in the storage (this site's tape), in the user's area (its disk), or in both."""

from __future__ import annotations

import os

from stager.callers.area_checks import check_readable
from stager.callers.area_reading import AreaAccess, access_to
from stager.callers.caller import Caller
from stager.errors import NotAllowed, SourceNotFound, SourceUnreadable, StagingError, StorageFault
from stager.paths import Location, open_location
from stager.settings import Settings
from stager.tape.paths import source_of
from stager.tape.response_bodies import ArchiveInfo, Locality


def archive_info(caller: Caller, path: str, *, settings: Settings) -> ArchiveInfo:
    """Return where a file is, or why that is not known; no path raises an error.

    On disk is what the caller has in their own area at the same path, by
    whatever way it came there. What the caller may not look at is not told.
    """
    try:
        return ArchiveInfo(path=path, locality=_locality(caller, source_of(path), settings))
    except StorageFault:
        return ArchiveInfo(path=path, locality=Locality.UNAVAILABLE)
    except StagingError as error:
        return ArchiveInfo(path=path, error=error.message)


def _locality(caller: Caller, source: str, settings: Settings) -> Locality:
    check_readable(caller, "source", [source])
    is_bounded = caller.is_bounded("source")
    is_archived = _is_there(access_to("source", caller.username, settings=settings, is_bounded=is_bounded), source)
    is_on_disk = _may_look(caller, source) and _is_on_disk(caller, source, settings)
    if not (is_archived or is_on_disk):
        raise SourceNotFound(source)
    if is_archived:
        return Locality.DISK_AND_TAPE if is_on_disk else Locality.TAPE
    return Locality.DISK


def _may_look(caller: Caller, path: str) -> bool:
    """Return whether the caller has a user folder that they may read or stage to."""
    if caller.username is None or caller.may_use("user", "write"):
        return caller.username is not None
    try:
        check_readable(caller, "user", [path])
    except NotAllowed:
        return False
    return True


def _is_on_disk(caller: Caller, path: str, settings: Settings) -> bool:
    """Return whether something is at the user's path, as far as their rights show."""
    is_bounded = caller.is_bounded("user")
    try:
        return _is_there(access_to("user", caller.username, settings=settings, is_bounded=is_bounded), path)
    except (SourceNotFound, SourceUnreadable):
        return False


def _is_there(access: AreaAccess, path: str) -> bool:
    with access.entered() as root:
        return _is_at(access, access.locate(path, root))


def _is_at(access: AreaAccess, location: Location) -> bool:
    """Return whether something is at a place; a link is something, wherever it leads."""
    try:
        with open_location(location.parent, os.O_PATH | os.O_DIRECTORY, access.symlinks) as folder:
            os.stat(location.name, dir_fd=folder.fd, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise access.error(error, location) from error
    return True
