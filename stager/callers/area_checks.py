"""Storage areas as the service sees them, and checks of what a caller may do with them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path

from stager.area_paths import place_in
from stager.callers.access_rules import ALL_OF_IT, Parts
from stager.callers.caller import Caller
from stager.errors import AreaNotWritable, DestinationNotWritable, NotAllowed, RequestError, StorageFault
from stager.methods.all_methods import METHODS
from stager.models import StorageArea
from stager.paths import Location, locate, open_area
from stager.records.tables import StagingRequestRow


def resolve_area(name: str) -> StorageArea:
    """Return the storage area of that name; may block for seconds at the first call."""
    from blocks.areas import resolve_area as resolve  # noqa: PLC0415 - Prefect's package takes 2 s to import

    return resolve(name)


async def keep_areas_known() -> None:
    """Ask for the storage areas again and again, until cancelled, so that no caller waits for Prefect."""
    from blocks.areas import keep_areas_known as keep  # noqa: PLC0415 - likewise

    await keep()


async def check_destination(caller: Caller, area: str) -> None:
    """Check that a caller may stage to a storage area; every kind of call asks here.

    Of an area that is not known the run decides: only Prefect may know it, and be away.

    Raises
    ------
    NotAllowed
        The caller is not granted that.
    AreaNotWritable
        It is no destination, for nobody.
    """
    caller.check_area(area, "write")
    known = await asyncio.to_thread(areas_at_hand)
    if any(one.name == area and not one.is_destination for one in known):
        raise AreaNotWritable(area)


async def check_sources(caller: Caller, area: str, paths: Iterable[str]) -> None:
    """Check that a caller may read some paths of a storage area; raise NotAllowed as `check_readable` does."""
    if caller.is_bounded(area):
        await asyncio.to_thread(check_readable, caller, area, paths)


def check_readable(caller: Caller, area: str, paths: Iterable[str]) -> None:
    """Check by their names that a caller may read some paths of a storage area; every kind of call asks here.

    Nothing is looked at: the answer does not depend on what is there. Who may
    read only a part of an area has no symbolic link followed (`Caller.is_bounded`),
    so that a path that begins with a prefix does not lead out of it.

    Parameters
    ----------
    paths
        As the caller wrote them; none where they are not known yet.

    Raises
    ------
    NotAllowed
        The caller is not granted one of them, or nothing of the area.
    """
    caller.check_area(area, "read")
    prefixes = caller.prefixes(area)
    if prefixes == ALL_OF_IT:
        return
    for path in paths:
        parts = _names_of(area, path)
        if parts is None or not any(parts[: len(prefix)] == prefix for prefix in prefixes):
            reason = f"{caller.username} may not read this path of the storage area {area}: {path}"
            raise NotAllowed(reason)


def _names_of(area: str, path: str) -> Parts | None:
    """Return the names that a path in an area is made of, as `locate` reads it; None where it leads out of it."""
    root = Path("/")
    if path.startswith("/"):
        shared = [one.path for one in areas_at_hand() if one.name == area and not one.per_user]
        if not shared:
            return None
        (root,) = shared
    try:
        return locate(root, path, may_be_absolute=True).parts
    except RequestError:
        return None


def check_storage(area: StorageArea) -> None:
    """Check that a storage area exists, and can be written if it has users' folders.

    Raises
    ------
    StagingError
        It is not there, or cannot be written.
    """
    if not _is_writable(area) and area.per_user:
        raise DestinationNotWritable(str(area.path), "no permission, or mounted read-only")


def check_storage_to_read(area: StorageArea) -> None:
    """Check that a storage area exists, for a service that only reads it.

    Raises
    ------
    StorageFault
        It is not there.
    """
    _is_writable(area)


def _is_writable(area: StorageArea) -> bool:
    try:
        with open_area(area.path) as folder:
            return os.access(f"/proc/self/fd/{folder.fd}", os.W_OK | os.X_OK)
    except OSError as error:
        raise StorageFault(str(area.path), error.strerror or str(error)) from error


def areas_at_hand() -> tuple[StorageArea, ...]:
    """Return all storage areas as they were when Prefect was last asked."""
    from blocks.areas import areas_at_hand as at_hand  # noqa: PLC0415 - likewise

    return at_hand()


def known_areas() -> tuple[StorageArea, ...]:
    """Return all storage areas, by name; may block as `resolve_area` does."""
    from blocks.areas import known_areas as known  # noqa: PLC0415 - likewise

    return known()


async def destination_path(row: StagingRequestRow, relative_path: str) -> str:
    """Return the path of a request's destination on this machine, or at another server as the request has it."""
    method = METHODS.get(row.method)
    if method is not None and method.place is not Location:
        return relative_path
    area = await asyncio.to_thread(resolve_area, row.destination_area)
    return place_in(area, row.username, relative_path).display
