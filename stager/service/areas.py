"""Storage areas as the door sees them."""

from __future__ import annotations

import asyncio
import os

from stager.errors import DestinationNotWritable, StorageFault
from stager.models import StorageArea
from stager.paths import locate, open_area
from stager.records import StagingRequestRow
from stager.settings import Settings


def resolve_area(name: str) -> StorageArea:
    """Return the storage area of that name; may block for seconds at the first call."""
    from blocks.areas import resolve_area as resolve  # noqa: PLC0415 - Prefect's package takes 2 s to import

    return resolve(name)


def configured_areas(settings: Settings) -> tuple[StorageArea, ...]:
    """Return the storage areas that the settings define; may block for seconds at the first call."""
    from blocks.areas import areas_of  # noqa: PLC0415 - likewise

    return areas_of(settings)


def check_area(name: str, *, written: bool) -> None:
    """Return when a storage area is there, and can be written if it is to be.

    Raises
    ------
    StagingError
        It is not there, cannot be read, or cannot be written.
    """
    area = resolve_area(name)
    try:
        with open_area(area.path) as folder:
            is_writable = os.access(f"/proc/self/fd/{folder.fd}", os.W_OK | os.X_OK)
    except OSError as error:
        raise StorageFault(str(area.path), error.strerror or str(error)) from error
    if written and not is_writable:
        raise DestinationNotWritable(str(area.path), "no permission, or mounted read-only")


def known_areas() -> tuple[StorageArea, ...]:
    """Return all storage areas, by name; may block as `resolve_area` does."""
    from blocks.areas import known_areas as known  # noqa: PLC0415 - likewise

    return known()


async def destination_path(row: StagingRequestRow, relative_path: str) -> str:
    """Return where a request's destination is here, as one path."""
    area = await asyncio.to_thread(resolve_area, row.destination_area)
    return locate(area.path, relative_path, inside=row.username if area.per_user else None).display
