"""A small file, made in a storage area where nothing was."""

from __future__ import annotations

import os
from contextlib import suppress

from stager.errors import DestinationExists, destination_error
from stager.models import StorageArea
from stager.paths import Location, Symlinks, locate, make_directories, open_area, open_location

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
# For whoever stages, whatever the process's umask is.
_FILE_MODE = 0o644
_DIRECTORY_MODE = 0o755


def make_file(area: StorageArea, path: str, content: bytes) -> Location:
    """Make a file, and the folders that it lies in where they are missing, and return where it is.

    Raises
    ------
    PathOutsideArea
        The path leads out of the area.
    DestinationExists
        Something is there.
    DestinationError
        It cannot be written; nothing of it is left.
    """
    location = locate(area.path, path, may_be_absolute=True)
    try:
        _make(location, content)
    except FileExistsError:
        raise DestinationExists(location.display) from None
    except OSError as error:
        raise destination_error(error, location.display) from error
    return location


def _make(location: Location, content: bytes) -> None:
    is_in_root = not location.parent.parts
    made: list[Location] = []
    with (
        open_area(location.root)
        if is_in_root
        else make_directories(location.parent, uid=-1, gid=-1, made=made) as folder
    ):
        for place in made:
            _let_enter(place)
        fd = os.open(location.name, _FLAGS, _FILE_MODE, dir_fd=folder.fd)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(content)
                os.fchmod(fd, _FILE_MODE)
        except OSError:
            with suppress(OSError):
                os.unlink(location.name, dir_fd=folder.fd)
            raise


def _let_enter(place: Location) -> None:
    with open_location(place, os.O_RDONLY | os.O_DIRECTORY, Symlinks.REFUSED) as directory:
        if os.fstat(directory.fd).st_uid == os.geteuid():  # else somebody has exchanged it since
            os.fchmod(directory.fd, _DIRECTORY_MODE)
