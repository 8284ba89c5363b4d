"""A small file, created in a storage area where nothing was."""

from __future__ import annotations

import os
from contextlib import suppress

from stager.errors import DestinationExists, destination_error
from stager.models import StorageArea
from stager.paths import Location, Symlinks, locate, make_directories, open_location

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
# Everybody may read the file, whatever the umask of the process is.
_FILE_MODE, _FOLDER_MODE = 0o644, 0o755


def make_file(area: StorageArea, path: str, content: bytes) -> Location:
    """Create a file that everybody may read, and its missing folders; return its location.

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
    made: list[Location] = []
    with make_directories(location.parent, mode=_FOLDER_MODE, made=made) as folder:
        for place in made:
            with open_location(place, _DIRECTORY, Symlinks.REFUSED) as new:
                os.fchmod(new.fd, _FOLDER_MODE)
        fd = os.open(location.name, _FLAGS, _FILE_MODE, dir_fd=folder.fd)
        try:
            with os.fdopen(fd, "wb") as file:
                os.fchmod(fd, _FILE_MODE)
                file.write(content)
        except OSError:
            with suppress(OSError):
                os.unlink(location.name, dir_fd=folder.fd)
            raise
