"""The resolution of a request's names on this machine: areas, user, paths."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import SecretStr
from sqlalchemy.orm.attributes import set_committed_value

from blocks.areas import resolve_area
from stager.area_paths import root_of, seen_by_users
from stager.checksums import Checksum
from stager.engine import Expected, Modes
from stager.errors import Cancelled, InvalidPath, PathOutsideArea, StagingError, WrongAccount
from stager.identity import resolve
from stager.methods import Item, LastCopy
from stager.models import Status
from stager.paths import Location, Place, locate
from stager.records.database import Database
from stager.records.items import FileChange, beginning, key_of, last_copies, save_files
from stager.records.request_secrets import hand_out_secret
from stager.records.tables import StagedFile, StagingRequestRow
from stager.runs.become_user import ActingUser
from stager.runs.entry import Entry
from stager.runs.places import destination_of
from stager.runs.stop import Stop
from stager.settings import get_settings
from stager.user_secrets import SecretKeys
from stager.vocabulary import Expand, OnConflict


class Expandable(NamedTuple):
    """What an item stands for: the folder in which it lies, the pattern there, and whose rights it is read with."""

    folder: Location
    pattern: tuple[str, ...]
    read_as: Literal["user", "service"]


class Resolver:
    """Resolves the names of one request.

    Raises
    ------
    UnknownArea, InvalidUserName, UserDoesNotExist, ConfigurationError
        The request names what is not here.
    AreaNotWritable, SystemAccount
        The destination's area is none, or the account one of the system's own.
    WrongAccount
        The process must be the user, and is not.
    """

    def __init__(self, request: StagingRequestRow) -> None:
        settings = get_settings()
        self.identity = resolve(request.username, users_file=settings.users_file, least_id=settings.least_user_id)
        if settings.must_own and not self.identity.owns_files:
            raise WrongAccount(request.username, os.geteuid())
        self._source_area = resolve_area(request.source_area)
        self.destination = destination_of(request)
        self._request = request
        self._is_bounded = request.is_bounded
        self._on_conflict = OnConflict(request.on_conflict)
        self._modes = Modes(file=settings.file_mode, directory=settings.directory_mode, folder=settings.folder_mode)

    def enter(self, acting: ActingUser) -> None:
        """Let the acting user enter the areas; raises as `ActingUser.enter`."""
        acting.enter(source=self._source_area, destination=self.destination.area)

    def secret(self, database: Database, *, holder: str, flow_run_id: str) -> SecretStr | None:
        """Return the secret that the user gave with the request, or None; as `hand_out_secret`, within its leases."""
        if not self._request.has_secret:
            return None
        keys = SecretKeys(get_settings().secret_key)
        return hand_out_secret(database, self._request.id, holder=holder, flow_run_id=flow_run_id, keys=keys)

    def entry(self, file: StagedFile, *, whole: Stop) -> Entry:
        """Return an item with its names resolved; raise StagingError where that is impossible.

        Parameters
        ----------
        whole
            Set when the request is to be left.
        """
        source = self._source(file)
        named = self.destination.named(file.relative_path)
        item = self._item(file, source, named.place)
        set_committed_value(file, "destination_key", key_of(named.key))
        stop = stop_of(file, whole)
        return Entry(file=file, item=item, place=named.key, stopped=stop, seen_at=named.seen_at, link=named.link)

    def expandable(self, file: StagedFile) -> Expandable:
        """Return what an item stands for that is to be expanded; raise StagingError where that is impossible."""
        folder, pattern = (file.expand or Expand.DIRECTORY).parted(file.source)
        root, _ = self._source_roots
        if ".." in pattern:
            raise PathOutsideArea(file.source, str(root))
        if not pattern:
            raise InvalidPath(file.source, "it names nothing")
        if posixpath.normpath(file.relative_path) != ".":  # the user's folder itself is none of its places
            self.destination.named(file.relative_path)
        # A name more, and one less: the area itself may be listed, too.
        inner = locate(root, f"{folder}/-", may_be_absolute=True, is_direct=self._is_bounded)
        return Expandable(folder=inner.parent, pattern=pattern, read_as=self._source_area.read_as)

    def folders(self, files: Sequence[StagedFile]) -> set[Place]:
        """Return the folders of the items' destinations."""
        folders: set[Place] = set()
        for file in files:
            with suppress(StagingError):  # a path that was refused led nowhere
                folders.add(self.destination.named(file.relative_path).place.parent)
        return folders

    @cached_property
    def _source_roots(self) -> tuple[Path, Path]:
        """The root of the user's sources, and where users see it; the same for all items."""
        area, username = self._source_area, self.identity.username
        return root_of(area, username), root_of(seen_by_users(area), username)

    def _source(self, file: StagedFile) -> Location:
        root, _ = self._source_roots
        return locate(root, file.local_path_on_storage, may_be_absolute=True, is_direct=self._is_bounded)

    def _item(self, file: StagedFile, source: Location, destination: Place) -> Item:
        _, seen_at = self._source_roots
        return Item(
            source=source,
            read_as=self._source_area.read_as,
            source_seen_at=seen_at,
            destination=destination,
            modes=self._modes,
            on_conflict=self._on_conflict,
            expected=Expected(checksum=file.expected_checksum, size_bytes=file.expected_size_bytes),
            last_copy=None,
            verify=self._request.verify,
        )


def resolve_files(database: Database, files: Sequence[StagedFile], entry: Callable[[StagedFile], Entry]) -> list[Entry]:
    """Return the open items with their names resolved; fail those whose paths cannot be.

    Parameters
    ----------
    entry
        Resolves one, or raises StagingError.
    """
    entries, changes = [], []
    for file in files:
        if file.status.is_final:
            continue
        try:
            entries.append(entry(file))
        except StagingError as error:
            changes.append(_failure(file, error))
        else:
            changes.append(_beginning(entries[-1]))
    save_files(database, changes)
    last = last_copies(database, [entry.file.destination_key for entry in entries])
    for one in entries:
        if known := _last_copy(last.get(one.file.destination_key)):
            one.item = replace(one.item, last_copy=known)
    return entries


def stop_of(file: StagedFile, whole: Stop) -> Stop:
    """Return the signal of an item, given that of its request."""
    stop = Stop(whole)
    if file.cancel_requested:
        stop.because(Cancelled())
    return stop


def _last_copy(file: StagedFile | None) -> LastCopy | None:
    if file is None or file.source_fingerprint is None or file.destination_fingerprint is None:
        return None
    return LastCopy(
        file_id=file.id,
        source_fingerprint=file.source_fingerprint,
        destination_fingerprint=file.destination_fingerprint,
        checksum=_checksum(file),
    )


def _checksum(file: StagedFile) -> Checksum | None:
    """Return the checksum on record; what is no checksum counts as none, and the files are compared."""
    with suppress(ValueError):
        return Checksum.parse(f"{file.checksum_algorithm}:{file.checksum}")
    return None


def _beginning(entry: Entry) -> FileChange:
    file = entry.file
    return beginning(file.id, destination_key=file.destination_key, seen_at=entry.seen_at, link=entry.link)


def _failure(file: StagedFile, error: StagingError) -> FileChange:
    return FileChange(id=file.id, status=Status.FAILED, error_reason=error.message, error_type=type(error).__name__)
