"""Access of a caller to an area: beneath which folder, and with whose rights it is read."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import structlog

from stager.area_paths import root_of
from stager.callers.area_checks import known_areas, resolve_area
from stager.errors import (
    InvalidUserName,
    PathOutsideArea,
    SourceNotFound,
    SourceUnreadable,
    StagingError,
    StorageFault,
    UnsupportedFileType,
    source_error,
)
from stager.identity import Identity, resolve
from stager.models import StorageArea
from stager.paths import Descriptor, Location, Symlinks, locate, open_area, open_home
from stager.privileges import reading_as
from stager.settings import Settings

# The account that reads for a caller without a name: it may read what everybody may.
NOBODY = Identity(
    username="nobody",
    uid=65534,
    gid=65534,
    groups=(65534,),
    acting_as="nobody (uid 65534, gid 65534)",
    owns_files=False,
)
_REFUSED = frozenset({errno.EACCES, errno.EPERM})
# The permission bits by which others than its owner may enter a folder.
_OTHERS = stat.S_IXGRP | stat.S_IXOTH

logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class AreaAccess:
    """An area as a caller may see it.

    Parameters
    ----------
    root
        What their paths are beneath: the area, or their own folder where each user has one.
    acting_as
        Who reads, in words.
    reader
        Whose rights it is read with; None for this process's own.
    is_bounded
        Whoever asks may read a part of it alone.
    """

    area: StorageArea
    root: Path
    acting_as: str
    reader: Identity | None = None
    is_bounded: bool = False

    @property
    def symlinks(self) -> Symlinks:
        """How symbolic links are treated: with the service's rights, or a bounded grant, none is followed."""
        is_refused = self.is_bounded or self.area.read_as == "service"
        return Symlinks.REFUSED if is_refused else Symlinks.FOLLOWED_BENEATH

    def reading(self) -> AbstractContextManager[None]:
        """Give the calling thread the rights with which the area is read, while the body runs."""
        return reading_as(self.reader) if self.reader else nullcontext()

    @contextmanager
    def entered(self) -> Iterator[Descriptor]:
        """Open the root of the paths, and read with the reader's rights while the body runs.

        A user's folder is opened with the service's own rights: whether users
        may enter the area does not count. Any other area its reader must be able to enter.

        Raises
        ------
        SourceNotFound
            The user has no folder.
        SourceUnreadable, StorageFault
            The area is closed to the reader, or is not there.
        """
        if self.area.per_user:
            with self._home() as home, self.reading():
                yield home
        else:
            with self.reading(), self._area() as area:
                yield area

    def locate(self, path: str, root: Descriptor) -> Location:
        """Return the location that a path names beneath the open root.

        Raises
        ------
        InvalidPath, PathOutsideArea
            The path says nothing, or leads out of the area.
        SourceNotFound
            It leads out of the user's folder: nothing is there for them.
        """
        try:
            return locate(self.root, path, held=root, may_be_absolute=not self.area.per_user)
        except PathOutsideArea as error:
            if not self.area.per_user:
                raise
            nothing = f"{self.root}/{path.lstrip('/')}"
            raise SourceNotFound(nothing) from error

    def error(self, error: OSError, location: Location) -> StagingError:
        """Return the error for a location that could not be opened; what is outside a user's folder does not exist."""
        if error.errno in (errno.EXDEV, errno.ELOOP):
            if self.area.per_user:
                return SourceNotFound(location.display)
            if self.symlinks is Symlinks.REFUSED:
                return SourceUnreadable(location.display, "the service follows no symbolic link in this area")
            return PathOutsideArea(location.display, str(location.root))
        if error.errno == errno.ENXIO:
            return UnsupportedFileType(location.display, "a socket or a device")
        return source_error(error, location.display)

    def _home(self) -> Descriptor:
        try:
            return open_home(self.area.path, self.root.name)
        except (FileNotFoundError, NotADirectoryError) as error:
            if not self.area.path.is_dir():
                raise StorageFault(str(self.area.path), error.strerror or str(error)) from error
            raise SourceNotFound(str(self.root)) from error
        except OSError as error:
            raise source_error(error, str(self.root)) from error

    def _area(self) -> Descriptor:
        try:
            area = open_area(self.root)
            os.stat(".", dir_fd=area.fd)  # it takes the right to enter
        except OSError as error:
            if error.errno in _REFUSED:
                reason = f"users may not enter this area; the operator may set read_as: service for {self.area.name}"
                raise SourceUnreadable(str(self.root), reason) from error
            raise StorageFault(str(self.root), error.strerror or str(error)) from error
        return area


def access_to(name: str, username: str | None, *, settings: Settings, is_bounded: bool) -> AreaAccess:
    """Return a user's access to an area; call it in a thread.

    It is read with the user's rights; where the area says so, with the service's.

    Parameters
    ----------
    is_bounded
        Whoever asks may read a part of the area alone (`Caller.is_bounded`).

    Raises
    ------
    InvalidUserName, UserDoesNotExist, SystemAccount, UnknownArea
        There is no such user or area, or the area asks for a user.
    SourceUnreadable
        This service cannot read as the user.
    """
    identity = NOBODY
    if username is not None:
        identity = resolve(username, users_file=settings.users_file, least_id=settings.least_user_id)
    area = resolve_area(name)
    if area.per_user and username is None:
        raise InvalidUserName("")
    root = root_of(area, identity.username)
    account = os.geteuid()
    if area.read_as == "service":
        return AreaAccess(area, root, f"the service (uid {account}) for {identity.username}", is_bounded=is_bounded)
    if account == 0 and identity.uid != 0 and _may_be(identity):
        return AreaAccess(area, root, identity.acting_as, identity, is_bounded)
    if account == identity.uid or (account != 0 and settings.access_file is None):
        return AreaAccess(area, root, f"user {account}", is_bounded=is_bounded)
    reason = (
        f"the service runs as uid {account} and cannot read with the rights of {identity.username}; "
        f"the operator may set read_as: service for {area.name}"
    )
    raise SourceUnreadable(str(area.path), reason)


def tell_of_areas(settings: Settings) -> None:
    """Log the areas that users cannot read through this service, and those whose modes do not count.

    It may block as `known_areas` does.
    """
    for area in known_areas():
        if area.read_as == "service":
            words = "The service reads an area with its own rights: its modes do not count, the access file does"
            logger.info(words, area=area.name)
        elif reason := _why_closed(area, settings):
            logger.warning(
                "Users cannot read an area through this service; the operator may set read_as: service for it",
                area=area.name,
                reason=reason,
            )


def _why_closed(area: StorageArea, settings: Settings) -> str | None:
    account = os.geteuid()
    if account != 0:
        is_one_persons = settings.access_file is None
        return None if is_one_persons else f"the service runs as uid {account}, not root"
    if not _may_be(NOBODY):
        return "the service runs as uid 0 and may not become another user"
    folders = () if area.per_user else (area.path, *area.path.parents)
    is_closed = any(folder.exists() and not folder.stat().st_mode & _OTHERS for folder in folders)
    return "users may not enter it" if is_closed else None


@lru_cache(maxsize=1000)
def _may_be(identity: Identity) -> bool:
    """Tell whether this root may become another user: in some containers it may not."""
    try:
        with reading_as(identity):
            return True
    except PermissionError:
        return False
