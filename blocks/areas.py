"""Storage areas by name: seeded from the settings, edited as Prefect blocks, resolved here.

The service and every flow call ``resolve_area``; nothing else knows where an
area comes from.
"""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

import anyio
import httpx
from anyio.to_thread import run_sync
from prefect.client.schemas.objects import BlockDocument
from prefect.context import SyncClientContext
from prefect.exceptions import ObjectNotFound, PrefectException
from pydantic import BaseModel, TypeAdapter, ValidationError

from blocks.storage_area import StorageAreaBlock
from stager.errors import AreaNotWritable, ConfigurationError, UnknownArea
from stager.models import StorageArea
from stager.settings import Settings, get_settings

logger = logging.getLogger(__name__)

# How long an area is used before Prefect is asked again, in seconds: an
# operator's edit counts within that time.
FRESH_SECONDS = 15.0
# How often a long-lived process asks, in seconds: before what it knows is too old.
POLL_SECONDS = 10.0
# How long an unknown name stays unknown, without asking Prefect again, in seconds.
UNKNOWN_SECONDS = 5.0
# Blocks in one answer: as many as Prefect allows.
BLOCKS_AT_ONCE = 200


class _Known(BaseModel, frozen=True):
    """An area, and until when it counts as up to date, by the machine's monotonic clock."""

    area: StorageArea
    until: float


_known: dict[str, _Known] = {}
_unknown_until = 0.0
# One call at a time: an older answer must not replace a newer one.
_asking = threading.Lock()
_asked_at = 0.0
_all_known = TypeAdapter(dict[str, _Known])


def areas_of(settings: Settings) -> tuple[StorageArea, ...]:
    """Return the areas that the environment defines: the demo's two storages."""
    seen_at = settings.source_path_for_users
    source = StorageArea(
        name="source", path=settings.source_storage_path, path_for_users=seen_at, read_as=settings.source_read_as
    )
    user = StorageArea(
        name="user",
        path=settings.target_storage_path,
        per_user=True,
        read_as=settings.target_read_as,
        is_destination=True,
    )
    return (source, user)


def resolve_area(name: str) -> StorageArea:
    """Return the storage area of that name.

    Prefect's block counts. When Prefect does not answer, or is being asked, the last known value
    does, or else what the settings say. A name that was unknown is not asked
    for again for some seconds.

    Raises
    ------
    UnknownArea
        Neither Prefect nor the settings know the name.
    """
    if not _is_fresh(name) and not (name in _known and _asking.locked()):
        refresh_areas()
    found = _known.get(name)
    if found is None:
        found = _know(_from_settings(name))
    return found.area


def resolve_destination(name: str) -> StorageArea:
    """Return the storage area of that name, to which data may be staged.

    Raises
    ------
    UnknownArea
        As `resolve_area` does.
    AreaNotWritable
        It does not say that it is a destination.
    """
    area = resolve_area(name)
    if not area.is_destination:
        raise AreaNotWritable(name)
    return area


def known_areas() -> tuple[StorageArea, ...]:
    """Return all storage areas by name: Prefect's blocks, and those of the settings that it does not have.

    Without an answer from Prefect, those of the settings and those known from earlier.
    """
    refresh_areas()
    return areas_at_hand()


def areas_at_hand() -> tuple[StorageArea, ...]:
    """Return all storage areas by name as they were when Prefect was last asked, without asking."""
    found = {area.name: area for area in areas_of(get_settings())}
    found |= {name: known.area for name, known in tuple(_known.items())}
    return tuple(found[name] for name in sorted(found))


def refresh_areas() -> None:
    """Ask Prefect for all areas, and forget those that it does not have any more; without an answer, all stay.

    Those who come while it is asked share the next question.
    """
    global _asked_at  # noqa: PLW0603 - it is what the module knows, as _known is
    came = time.monotonic()
    with _asking:
        if _asked_at < came:
            _asked_at = time.monotonic()
            _refresh()


def _refresh() -> None:
    global _unknown_until  # noqa: PLW0603 - likewise
    for known in tuple(_known.values()):  # they do for whoever comes while Prefect is asked
        _know(known.area)
    documents = _documents()
    _unknown_until = time.monotonic() + UNKNOWN_SECONDS
    if documents is None:
        return
    for name in _known.keys() - {document.name for document in documents}:
        _known.pop(name, None)
    for document in documents:
        try:
            area = StorageAreaBlock.model_validate(document.data).area(document.name or "")
            _refuse_outside(area.path)
            _know(area)
        except (
            ValidationError,
            ConfigurationError,
        ) as error:  # somebody's slip in one block is no other area's trouble
            logger.warning("The storage area %s cannot be used: %s", document.name, error)


def _refuse_outside(path: Path) -> None:
    """Raise `ConfigurationError` for a folder outside the settings' area roots: a block cannot name any other."""
    if not any(path.resolve().is_relative_to(root.resolve()) for root in get_settings().all_area_roots):
        raise ConfigurationError(path, "no storage area is allowed there (STAGER_AREA_ROOTS)")


async def keep_areas_known() -> None:
    """Ask Prefect for all areas every few seconds until cancelled, so that no call and no run waits for Prefect."""
    while True:
        try:
            await run_sync(refresh_areas)
        except Exception as error:  # noqa: BLE001 - whoever needs one asks then
            logger.warning("Could not ask Prefect for the storage areas; the last known ones are used: %s", error)
        await anyio.sleep(POLL_SECONDS)


def areas_as_known() -> str:
    """Return the areas that this process knows, for another process on this machine."""
    return _all_known.dump_json(_known).decode()


def adopt_areas(known: str) -> None:
    """Take over the areas that another process on this machine knew, from `areas_as_known`."""
    _known.update(_all_known.validate_json(known))


def _is_fresh(name: str) -> bool:
    known = _known.get(name)
    return (known.until if known else _unknown_until) > time.monotonic()


def _know(area: StorageArea) -> _Known:
    _known[area.name] = known = _Known(area=area, until=time.monotonic() + FRESH_SECONDS)
    return known


def _documents() -> list[BlockDocument] | None:
    """Return the areas' blocks, None when Prefect is away."""
    slug = StorageAreaBlock.get_block_type_slug()
    found: list[BlockDocument] = []
    try:
        with SyncClientContext.get_or_create() as prefect:
            while some := prefect.client.read_block_documents_by_type(slug, offset=len(found), limit=BLOCKS_AT_ONCE):
                found += some
                if len(some) < BLOCKS_AT_ONCE:
                    break
    except ObjectNotFound:  # nobody has registered areas there
        return []
    except (httpx.HTTPError, PrefectException, RuntimeError):
        return None
    return found


async def _block(name: str) -> StorageAreaBlock | None:
    try:
        return await StorageAreaBlock.aload(name)
    except ValueError as error:  # what it makes of a block that is not there
        if isinstance(error.__cause__, ObjectNotFound):
            return None
        raise


def _from_settings(name: str) -> StorageArea:
    for area in areas_of(get_settings()):
        if area.name == name:
            return area
    raise UnknownArea(name)


async def seed_areas(settings: Settings) -> list[str]:
    """Write the settings' areas as blocks where the settings have changed.

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
    # Settings that earlier versions did not have count only if they are set: an operator's earlier edit stays.
    is_news = {"is_destination"} if area.read_as == "service" else {"is_destination", "read_as"}
    said = area.model_dump_json(exclude=is_news)
    block = await _block(area.name)
    if block is not None and block.seeded_from == said:
        return False
    values = area.model_dump(exclude={"name"})
    await StorageAreaBlock(**values, seeded_from=said).asave(area.name, overwrite=True)
    return True
