"""Whether what the service needs is there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import text
from starlette.responses import Response

from stager.errors import StagingError
from stager.records import Database
from stager.service.areas import check_area, configured_areas
from stager.service.door import OpenDoor
from stager.service.problems import RETRY_AFTER

router = APIRouter(tags=["site"])

# How long a part may take to answer, in seconds; probes give up soon after.
LIMIT = 4.0
_probes = ThreadPoolExecutor(2, thread_name_prefix="probe")


class PartHealth(BaseModel):
    """How a part that the service needs is doing."""

    model_config = ConfigDict(frozen=True)

    is_reachable: bool = Field(description="Whether it answers.")
    reason: str | None = Field(None, description="Why not.")


class Health(BaseModel):
    """How the service and what it needs are doing."""

    model_config = ConfigDict(frozen=True)

    status: Literal["healthy", "unhealthy"] = Field(description="Healthy when every part is reachable.")
    database: PartHealth = Field(description="The records database.")
    prefect: PartHealth = Field(description="Prefect's API. Requests are taken while it is away, and run later.")


class Alive(BaseModel):
    """The service runs."""

    model_config = ConfigDict(frozen=True)

    status: Literal["alive"] = "alive"


class Readiness(BaseModel):
    """Whether the service can do its work."""

    model_config = ConfigDict(frozen=True)

    status: Literal["ready", "degraded", "unready"] = Field(
        description="Degraded: a part is away, and what needs it is done later. Unready: nothing can be recorded."
    )
    parts: dict[str, PartHealth] = Field(description="How each part is doing.")


@router.get(
    "/health",
    summary="Whether the database and Prefect answer",
    responses={503: {"model": Health, "description": "A part does not answer."}},
)
@router.get("/health/", include_in_schema=False)
async def show_health(door: OpenDoor, response: Response) -> Health:
    """Ask the parts, both at once."""
    ask_database = door.ask(_select)
    database, prefect = await asyncio.gather(_health(ask_database), _health(door.prefect.check()))
    is_healthy = database.is_reachable and prefect.is_reachable
    if not is_healthy:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        response.headers["Retry-After"] = RETRY_AFTER
    return Health(status="healthy" if is_healthy else "unhealthy", database=database, prefect=prefect)


@router.get("/health/live", summary="Whether the service runs at all")
@router.get("/health/live/", include_in_schema=False)
async def show_life() -> Alive:
    """Answer, and ask nobody."""
    return Alive()


@router.get(
    "/health/ready",
    summary="Whether the service can do its work, part by part",
    responses={503: {"model": Readiness, "description": "The database does not answer."}},
)
@router.get("/health/ready/", include_in_schema=False)
async def show_readiness(door: OpenDoor, response: Response) -> Readiness:
    """Ask the database, Prefect and the storage areas, all at once.

    Only without the database a caller is better off elsewhere: what is asked
    for while Prefect or a storage is away is recorded, and done later.
    """
    areas = {area.name: area.per_user for area in await asyncio.to_thread(configured_areas, door.settings)}
    checks = {
        "database": _health(door.ask(_select)),
        "prefect": _health(door.prefect.check()),
        **{f"area {name}": _health(_look_at(name, written=written)) for name, written in areas.items()},
    }
    parts = dict(zip(checks, await asyncio.gather(*checks.values()), strict=True))
    if not parts["database"].is_reachable:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        response.headers["Retry-After"] = RETRY_AFTER
    return Readiness(status=_readiness(parts), parts=parts)


def _readiness(parts: Mapping[str, PartHealth]) -> Literal["ready", "degraded", "unready"]:
    if not parts["database"].is_reachable:
        return "unready"
    return "ready" if all(part.is_reachable for part in parts.values()) else "degraded"


async def _look_at(area: str, *, written: bool) -> None:
    """Return when a storage area is there; a hung mount holds up the probes' own threads, and nothing else."""
    await asyncio.get_running_loop().run_in_executor(_probes, partial(check_area, area, written=written))


async def _health(check: Awaitable[object]) -> PartHealth:
    try:
        await asyncio.wait_for(check, LIMIT)
    except StagingError as error:
        return PartHealth(is_reachable=False, reason=error.message)
    except TimeoutError:
        return PartHealth(is_reachable=False, reason=f"no answer within {LIMIT:g} s")
    return PartHealth(is_reachable=True)


def _select(database: Database) -> None:
    database.read(lambda session: session.execute(text("SELECT 1")))
