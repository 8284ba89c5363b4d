"""The log file, as the demo's page shows it; to administrators where authentication is on."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from starlette.responses import StreamingResponse

from stager.callers.current import LONG_CALL, CurrentCaller
from stager.http.dependencies import CurrentSettings
from stager.http.problems import documented
from stager.insight.log_lines import LineFilter, log_blocks

router = APIRouter(prefix="/logs", tags=["site"])

MAX_LINES = 100_000
EXAMPLE = (
    '{"method": "local_copy", "username": "alice", "event": "Request ended", "status": "completed", '
    '"level": "info", "timestamp": "2026-11-24T20:05:00Z"}\n'
)
# The header with the replica's name: each has a log file of its own. In a cluster it is the pod's name.
REPLICA = "X-Log-Of"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", REPLICA: socket.gethostname()}
REPLICA_SHOWN = {
    "description": "The replica whose log this is: its host, or pod.",
    "schema": {"type": "string"},
    "example": "staging-api-5d9c7b6f4-x2x7q",
}
Lines = Annotated[
    int | None, Query(ge=1, le=MAX_LINES, description="How many of the last lines to send; all by default.")
]
Contains = Annotated[
    str | None, Query(max_length=200, description="Only lines that contain this text.", examples=["alice"])
]
Level = Literal["debug", "info", "warning", "error", "critical"]
LevelWanted = Annotated[Level | None, Query(description="Only lines of this level or above.")]
TEXT: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/plain": {"example": EXAMPLE}},
        "description": "JSON lines of the replica that answers",
        "headers": {REPLICA: REPLICA_SHOWN},
    },
    **documented(401, 403, 422),
}


@router.get(
    "",
    operation_id="get_log",
    summary="The log file: all of it, its last lines, or some of them",
    response_class=StreamingResponse,
    responses=TEXT,
)
async def show_log(
    settings: CurrentSettings,
    caller: CurrentCaller,
    lines: Lines = None,
    contains: Contains = None,
    level: LevelWanted = None,
) -> StreamingResponse:
    """Stream the log file as it is now; for administrators."""
    caller.check_admin()
    return await _log(settings.log_file, lines=lines, wanted=LineFilter(contains, level), follow=False)


@router.get(
    "/stream",
    summary="The log's last lines, and those to come until the client hangs up",
    response_class=StreamingResponse,
    responses=TEXT | documented(429),
    dependencies=[LONG_CALL],
)
async def follow_log(
    settings: CurrentSettings,
    caller: CurrentCaller,
    lines: Lines = 10,
    contains: Contains = None,
    level: LevelWanted = None,
) -> StreamingResponse:
    """Stream the log file, and new lines as they are written; for administrators."""
    caller.check_admin()
    return await _log(settings.log_file, lines=lines, wanted=LineFilter(contains, level), follow=True)


async def _log(path: Path, *, lines: int | None, wanted: LineFilter, follow: bool) -> StreamingResponse:
    file = await asyncio.to_thread(path.open, "rb")
    found = log_blocks(file, path, lines=lines, wanted=wanted, follow=follow)
    return StreamingResponse(found, media_type="text/plain", headers=HEADERS)
