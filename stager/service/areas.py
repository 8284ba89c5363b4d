"""Storage areas as the door sees them."""

from __future__ import annotations

import asyncio

from stager.models import StorageArea
from stager.paths import locate
from stager.records import StagingRequestRow


def resolve_area(name: str) -> StorageArea:
    """Return the storage area of that name; may block for seconds at the first call."""
    from blocks.areas import resolve_area as resolve  # noqa: PLC0415 - Prefect's package takes 2 s to import

    return resolve(name)


async def destination_path(row: StagingRequestRow, relative_path: str) -> str:
    """Return where a request's destination is here, as one path."""
    area = await asyncio.to_thread(resolve_area, row.destination_area)
    return locate(area.path, relative_path, inside=row.username if area.per_user else None).display
