"""Routes that show what a request has delivered."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import StreamingResponse

from stager.api.delivery import Receipt, manifest_lines, receipt_of
from stager.callers.current import SeenRequest
from stager.downloads.routes.files import BINARY
from stager.http.dependencies import CurrentSettings, OpenRecords
from stager.http.problems import documented

router = APIRouter(prefix="/requests", tags=["requests"])

JSON_LINES = "application/x-ndjson"
EXAMPLE = (
    '{"path": "night-1/a.fits", "position": 0, "kind": "file", "size_bytes": 2880, "checksum": "0a1b2c3d", '
    '"checksum_algorithm": "adler32"}\n'
)


@router.get(
    "/{request_id}/manifest",
    operation_id="get_manifest",
    summary="The checksums of every file that was delivered",
    response_class=StreamingResponse,
    responses={
        200: {
            "content": {JSON_LINES: {**BINARY, "example": EXAMPLE}},
            "description": "A stream of JSON lines, one for each file.",
        },
        **documented(401, 404, 422, 503),
    },
)
async def show_manifest(records: OpenRecords, row: SeenRequest) -> StreamingResponse:
    """Stream what is delivered by now: path, size and checksum of each file, in the order of the items."""
    return StreamingResponse(manifest_lines(records, row.id), media_type=JSON_LINES)


@router.get(
    "/{request_id}/receipt",
    operation_id="get_receipt",
    summary="What a request has delivered in all",
    responses=documented(401, 404, 409, 422, 503),
)
async def show_receipt(settings: CurrentSettings, records: OpenRecords, row: SeenRequest) -> Receipt:
    """Return the figures of a request that has ended."""
    return await receipt_of(records, row, public_url=settings.public_url)
