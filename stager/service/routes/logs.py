"""The log file, as the demo's page shows it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, BinaryIO

from fastapi import APIRouter, Query
from starlette.responses import StreamingResponse

from stager.service.callers.current import CurrentCaller
from stager.service.door import OpenDoor
from stager.service.problems import documented

router = APIRouter(prefix="/logs", tags=["site"])

BLOCK_BYTES = 256 * 1024
MAX_LINES = 100_000


@router.get(
    "/",
    summary="The log file, or its last lines",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/plain": {}}, "description": "JSON lines"}, **documented(401, 403, 404, 422)},
)
@router.get("", include_in_schema=False)
async def show_log(
    door: OpenDoor,
    caller: CurrentCaller,
    lines: Annotated[
        int | None, Query(ge=1, le=MAX_LINES, description="How many lines of its end; all by default.")
    ] = None,
) -> StreamingResponse:
    """Stream the log file as it is now, however long it is; to administrators."""
    caller.check_admin()
    file, start, end = await asyncio.to_thread(_open, door.settings.log_file, lines)
    headers = {"Content-Length": str(end - start), "Cache-Control": "no-store"}
    return StreamingResponse(_blocks(file, end), media_type="text/plain", headers=headers)


def _open(path: Path, lines: int | None) -> tuple[BinaryIO, int, int]:
    """Return the file, open at the place to begin with, that place, and the file's end."""
    file = path.open("rb")
    end = os.fstat(file.fileno()).st_size
    start = 0 if lines is None else _start_of_last(file, lines=lines, end=end)
    file.seek(start)
    return file, start, end


def _start_of_last(file: BinaryIO, *, lines: int, end: int) -> int:
    """Return where the last lines begin, reading backwards block by block."""
    missing = lines + 1  # the newline before them, too: the file ends with one
    position = end
    while position > 0:
        size = min(BLOCK_BYTES, position)
        position -= size
        block = os.pread(file.fileno(), size, position)
        found = block.count(b"\n")
        if found >= missing:
            return position + _nth_last_newline(block, missing) + 1
        missing -= found
    return 0


def _nth_last_newline(block: bytes, count: int) -> int:
    place = len(block)
    for _ in range(count):
        place = block.rindex(b"\n", 0, place)
    return place


async def _blocks(file: BinaryIO, end: int) -> AsyncIterator[bytes]:
    """Give the file up to where it ended when it was opened: it grows with every request."""
    with file:
        while block := await asyncio.to_thread(file.read, min(BLOCK_BYTES, end - file.tell())):
            yield block
