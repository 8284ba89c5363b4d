"""How much a caller may ask for."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from stager.api.routes.cancellations import MOST_CANCELLED
from stager.downloads.ranges import MAX_PARTS
from stager.http.call_limits import MAX_HEADER_BYTES, MAX_TARGET_BYTES, most_values
from stager.http.dependencies import CurrentSettings
from stager.models import MAX_PATH_BYTES

router = APIRouter(prefix="/limits", tags=["site"])


class SiteLimits(BaseModel):
    """The site's limits, each with the HTTP status of what is beyond it."""

    model_config = ConfigDict(frozen=True)

    body_bytes: int = Field(description="Bytes of a body (413).", examples=[16 * 1024**2])
    body_values: int = Field(description="Values in a body: words, numbers, lists, objects (413).", examples=[162_000])
    manifest_bytes: int = Field(description="Bytes of a manifest that is uploaded (413).", examples=[512 * 1024**2])
    header_bytes: int = Field(description="Bytes of all header fields (431).", examples=[MAX_HEADER_BYTES])
    target_bytes: int = Field(description="Bytes of path and query (414).", examples=[MAX_TARGET_BYTES])
    path_bytes: int = Field(description="Bytes of a path in a storage area (422).", examples=[MAX_PATH_BYTES])
    items_in_body: int = Field(
        description="Items of a request in a body, or of a Tape REST call (413).", examples=[10_000]
    )
    items: int = Field(description="Items of a request that come as a manifest (413).", examples=[1_000_000])
    items_to_cancel: int = Field(
        description="Items that one call cancels by their positions (422).", examples=[MOST_CANCELLED]
    )
    range_parts: int = Field(
        description="Parts of a file that one Range asks for; beyond, the whole file is sent (200).",
        examples=[MAX_PARTS],
    )
    create_file_bytes: int = Field(
        description="Bytes of a file that /create-file makes (413); 0 where it makes none (403).", examples=[0]
    )
    open_requests: int = Field(description="Requests of one user that may be open (429).", examples=[10_000])
    long_calls: int = Field(
        description="Streams, uploads and waiting calls that one user may hold at one replica (429).", examples=[200]
    )
    pause: float = Field(
        description="How long a body may pause while it is received, in seconds (408).", examples=[30.0]
    )
    wait: float = Field(
        description="How long a caller is kept waiting for an outcome, in seconds (202).", examples=[60.0]
    )


@router.get("", operation_id="get_limits", summary="How much a caller may ask for")
async def show_limits(settings: CurrentSettings) -> SiteLimits:
    """Return the site's limits."""
    return SiteLimits(
        body_bytes=settings.max_body_bytes,
        body_values=most_values(settings),
        manifest_bytes=settings.max_manifest_bytes,
        header_bytes=MAX_HEADER_BYTES,
        target_bytes=MAX_TARGET_BYTES,
        path_bytes=MAX_PATH_BYTES,
        items_in_body=settings.max_items_in_body,
        items=settings.max_items,
        items_to_cancel=MOST_CANCELLED,
        range_parts=MAX_PARTS,
        create_file_bytes=settings.create_file_bytes,
        open_requests=settings.max_open_requests,
        long_calls=settings.max_long_calls,
        pause=settings.max_pause,
        wait=settings.wait,
    )
