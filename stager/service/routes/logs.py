"""The log file, as the demo's page shows it; to administrators where authentication is on."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.responses import StreamingResponse

from stager.service.callers.current import CurrentCaller
from stager.service.door import OpenDoor
from stager.service.log_lines import LineFilter, log_blocks
from stager.service.problems import documented

router = APIRouter(prefix="/logs", tags=["site"])

MAX_LINES = 100_000
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
Lines = Annotated[int | None, Query(ge=1, le=MAX_LINES, description="How many lines of its end; all by default.")]
Contains = Annotated[str | None, Query(max_length=200, description="Only lines with this text.", examples=["alice"])]
Level = Literal["debug", "info", "warning", "error", "critical"]
LevelWanted = Annotated[Level | None, Query(description="Only lines of this level or above.")]
Follow = Annotated[bool, Query(description="Go on with lines as they are written, until the client hangs up.")]


@router.get(
    "/",
    summary="The log file: its last lines, some of them, and those to come",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/plain": {}}, "description": "JSON lines"}, **documented(401, 403, 422)},
)
@router.get("", include_in_schema=False)
async def show_log(
    *,
    door: OpenDoor,
    caller: CurrentCaller,
    lines: Lines = None,
    contains: Contains = None,
    level: LevelWanted = None,
    follow: Follow = False,
) -> StreamingResponse:
    """Stream the log file, to administrators."""
    caller.check_admin()
    path, wanted = door.settings.log_file, LineFilter(contains, level)
    file = await asyncio.to_thread(path.open, "rb")
    found = log_blocks(file, path, lines=lines, wanted=wanted, follow=follow)
    return StreamingResponse(found, media_type="text/plain", headers=HEADERS)
