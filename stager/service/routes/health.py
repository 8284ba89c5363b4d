"""Whether what the service needs is there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from http import HTTPStatus
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import text
from starlette.responses import Response

from stager.errors import StagingError
from stager.records import Database
from stager.service.door import OpenDoor
from stager.service.problems import RETRY_AFTER

router = APIRouter(tags=["site"])

# How long a part may take to answer, in seconds; probes give up soon after.
LIMIT = 4.0


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
