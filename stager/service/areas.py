"""Storage areas as the door sees them."""

from __future__ import annotations

import asyncio
import os

from stager.areas import place_in
from stager.errors import AreaNotWritable, DestinationNotWritable, StorageFault
from stager.models import StorageArea
from stager.paths import open_area
from stager.records import StagingRequestRow
from stager.service.callers.caller import Caller
from stager.service.callers.rules import Direction


def resolve_area(name: str) -> StorageArea:
    """Return the storage area of that name; may block for seconds at the first call."""
    from blocks.areas import resolve_area as resolve  # noqa: PLC0415 - Prefect's package takes 2 s to import

    return resolve(name)


async def keep_areas_known() -> None:
    """Ask for the storage areas again and again, until cancelled, so that no caller waits for Prefect."""
    from blocks.areas import keep_areas_known as keep  # noqa: PLC0415 - likewise

    await keep()


async def check_direction(caller: Caller, area: str, direction: Direction) -> None:
    """Return when a caller may read a storage area, or stage to it; every door asks here.

    Of an area that is not known the run decides: only Prefect may know it, and be away.

    Raises
    ------
    NotAllowed
        The caller is not granted that.
    AreaNotWritable
        It is no destination, for nobody.
    """
    caller.check_area(area, direction)
    if direction == "write":
        known = await asyncio.to_thread(areas_at_hand)
        if any(one.name == area and not one.is_destination for one in known):
            raise AreaNotWritable(area)


def check_area(area: StorageArea) -> None:
    """Return when a storage area is there, and can be written if users' folders are in it.

    Raises
    ------
    StagingError
        It is not there, or cannot be written.
    """
    if not _is_writable(area) and area.per_user:
        raise DestinationNotWritable(str(area.path), "no permission, or mounted read-only")


def check_area_to_read(area: StorageArea) -> None:
    """Return when a storage area is there, for a service that only reads it.

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
    """Return where a request's destination is here, as one path."""
    area = await asyncio.to_thread(resolve_area, row.destination_area)
    return place_in(area, row.username, relative_path).display
