"""Health of the service and of what it needs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import text
from starlette.responses import Response

from stager.callers.area_checks import areas_at_hand, check_storage, check_storage_to_read, known_areas
from stager.errors import StagingError
from stager.http.dependencies import CurrentSettings, OpenRecords
from stager.http.problems import RETRY_AFTER
from stager.insight.dependencies import OpenPrefect
from stager.insight.hung_storage import Probes
from stager.records.database import Database

router = APIRouter(tags=["site"])

# How long a part may take to answer, in seconds; probes give up soon after.
PROBE_SECONDS = 4.0
# How long Prefect may take to say which storage areas there are; after that, those that were known last count.
AREAS_PROBE_SECONDS = 1.0
_probes = Probes()


class PartHealth(BaseModel):
    """The health of a part that the service needs."""

    model_config = ConfigDict(frozen=True)

    is_reachable: bool = Field(description="Whether it answers.", examples=[True])
    reason: str | None = Field(None, description="Why it does not answer.")


class Health(BaseModel):
    """The health of the service and of what it needs."""

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
        description="degraded: a part is away, and what needs it is done later; unready: nothing can be recorded."
    )
    parts: dict[str, PartHealth] = Field(
        description="The health of each part.",
        examples=[{"database": {"is_reachable": True}, "area source": {"is_reachable": True}}],
    )


THERE = PartHealth(is_reachable=True)
AWAY = PartHealth(is_reachable=False, reason=f"no answer within {PROBE_SECONDS:g} s")


def _without(description: str, answer: BaseModel) -> dict[int | str, dict[str, Any]]:
    """Return OpenAPI's description of a 503."""
    content = {"application/json": {"example": answer.model_dump()}}
    return {503: {"model": type(answer), "description": description, "content": content}}


@router.get(
    "/health",
    operation_id="get_health",
    summary="Whether the database and Prefect answer",
    responses=_without("A part does not answer.", Health(status="unhealthy", database=AWAY, prefect=THERE)),
)
async def show_health(records: OpenRecords, prefect: OpenPrefect, response: Response) -> Health:
    """Ask the database and Prefect, both at once."""
    of_database, of_prefect = await asyncio.gather(_health(records.ask(_select)), _health(prefect.check()))
    is_healthy = of_database.is_reachable and of_prefect.is_reachable
    if not is_healthy:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        response.headers["Retry-After"] = RETRY_AFTER
    return Health(status="healthy" if is_healthy else "unhealthy", database=of_database, prefect=of_prefect)


@router.get("/health/live", operation_id="get_liveness", summary="Whether the service runs at all")
async def show_life() -> Alive:
    """Answer without asking any other part."""
    return Alive()


@router.get(
    "/health/ready",
    operation_id="get_readiness",
    summary="Whether the service can do its work, part by part",
    responses=_without(
        "The database does not answer.", Readiness(status="unready", parts={"database": AWAY, "area source": THERE})
    ),
)
async def show_readiness(
    settings: CurrentSettings, records: OpenRecords, prefect: OpenPrefect, response: Response
) -> Readiness:
    """Ask the database, Prefect and the storage areas, all at once."""
    # Only without the database a caller is better off elsewhere: what is asked
    # for while Prefect or a storage is away is recorded, and done later.
    with suppress(TimeoutError):
        await asyncio.wait_for(_probes.look(known_areas), AREAS_PROBE_SECONDS)
    areas = {f"area {area.name}": area for area in await asyncio.to_thread(areas_at_hand)}
    check = check_storage_to_read if settings.areas_read_only else check_storage
    checks = {
        "database": _health(records.ask(_select)),
        "prefect": _health(prefect.check()),
        **{part: _health(_probes.look(check, area)) for part, area in areas.items()},
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


async def _health(check: Awaitable[object]) -> PartHealth:
    try:
        await asyncio.wait_for(check, PROBE_SECONDS)
    except StagingError as error:
        return PartHealth(is_reachable=False, reason=error.message)
    except TimeoutError:
        return PartHealth(is_reachable=False, reason=f"no answer within {PROBE_SECONDS:g} s")
    return PartHealth(is_reachable=True)


def _select(database: Database) -> None:
    database.read(lambda session: session.execute(text("SELECT 1")))
