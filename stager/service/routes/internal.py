"""What an nginx in front says of the files that it has sent; without one there is no such route."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from stager.errors import Cancelled
from stager.service.downloads import OpenDesk

router = APIRouter(prefix="/internal", include_in_schema=False)


@router.post("/sent/{download_id}")
async def note_sent(
    desk: OpenDesk,
    download_id: str,
    bytes_sent: Annotated[int, Query(ge=0)],
    is_whole: Annotated[Literal["OK", ""], Query()] = "",
) -> Response:
    """Close a download's record with the bytes that nginx has sent."""
    error = None if is_whole else Cancelled(f"the client hung up after {bytes_sent} bytes")
    desk.ledger.end_elsewhere(download_id, bytes_sent=bytes_sent, error=error)
    return Response(status_code=HTTPStatus.NO_CONTENT)
