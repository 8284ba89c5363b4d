"""Storage areas by name: seeded from the settings, edited as Prefect blocks, resolved here.

Every door and every flow calls ``resolve_area``; nothing else knows where an
area comes from.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass

import httpx
from prefect.context import SyncClientContext
from prefect.exceptions import ObjectNotFound, PrefectException

from blocks.storage_area import StorageAreaBlock
from stager.errors import UnknownArea
from stager.models import StorageArea
from stager.settings import Settings, get_settings

# How long an area is used before Prefect is asked again, in seconds: an
# operator's edit counts within that time.
FRESH_FOR = 15.0


@dataclass(frozen=True)
class _Known:
    area: StorageArea
    until: float


_known: dict[str, _Known] = {}


def areas_of(settings: Settings) -> tuple[StorageArea, ...]:
    """Return the areas that the environment defines: the demo's two storages."""
    seen_at = settings.source_path_for_users
    source = StorageArea(name="source", path=settings.source_storage_path, path_for_users=seen_at)
    user = StorageArea(name="user", path=settings.target_storage_path, per_user=True)
    return (source, user)


def resolve_area(name: str) -> StorageArea:
    """Return the storage area of that name.

    Prefect's block counts. When Prefect does not answer, the last known value
    does, or else what the settings say.

    Raises
    ------
    UnknownArea
        Neither Prefect nor the settings know the name.
    """
    known = _known.get(name)
    if known is not None and known.until > time.monotonic():
        return known.area
    if known is not None:  # it does for whoever comes while Prefect is asked
        _known[name] = _Known(known.area, time.monotonic() + FRESH_FOR)
    area = _load(name) or (known.area if known else _from_settings(name))
    _known[name] = _Known(area, time.monotonic() + FRESH_FOR)
    return area


def known_areas() -> tuple[StorageArea, ...]:
    """Return all storage areas by name: Prefect's blocks, and those of the settings that it does not have.

    Without an answer from Prefect, those of the settings and those known from earlier.
    """
    names = {area.name for area in areas_of(get_settings())} | set(_known) | _block_names()
    found = []
    for name in sorted(names):
        with suppress(UnknownArea):  # its block was removed
            found.append(resolve_area(name))
    return tuple(found)


def _block_names() -> set[str]:
    slug = StorageAreaBlock.get_block_type_slug()
    try:
        with SyncClientContext.get_or_create() as prefect:
            documents = prefect.client.read_block_documents_by_type(slug)
    except (httpx.HTTPError, PrefectException, RuntimeError):
        return set()
    return {document.name for document in documents if document.name}


async def _block(name: str) -> StorageAreaBlock | None:
    try:
        return await StorageAreaBlock.aload(name)
    except ValueError as error:  # what it makes of a block that is not there
        if isinstance(error.__cause__, ObjectNotFound):
            return None
        raise


def _load(name: str) -> StorageArea | None:
    """Return the area of Prefect's block, None when Prefect is away or has none."""
    try:
        with SyncClientContext.get_or_create() as prefect:
            document = prefect.client.read_block_document_by_name(name, StorageAreaBlock.get_block_type_slug())
    except (httpx.HTTPError, PrefectException, RuntimeError):
        return None
    return StorageAreaBlock.model_validate(document.data).area(name)


def _from_settings(name: str) -> StorageArea:
    for area in areas_of(get_settings()):
        if area.name == name:
            return area
    raise UnknownArea(name)


async def seed_areas(settings: Settings) -> list[str]:
    """Write the settings' areas as blocks where the settings are news.

    An operator's edit in the pages stays until the environment itself says
    something else than it said at the last seeding.

    Returns
    -------
    list of str
        Names of the blocks that were written.
    """
    await StorageAreaBlock.aregister_type_and_schema()
    return [area.name for area in areas_of(settings) if await _seed(area)]


async def _seed(area: StorageArea) -> bool:
    said = area.model_dump_json()
    block = await _block(area.name)
    if block is not None and block.seeded_from == said:
        return False
    values = area.model_dump(exclude={"name"})
    await StorageAreaBlock(**values, seeded_from=said).asave(area.name, overwrite=True)
    return True
