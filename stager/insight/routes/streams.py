"""Routes of live streams, as server-sent events."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header
from starlette.responses import Response, StreamingResponse

from stager.callers.current import LONG_CALL, CurrentCaller, SeenRequest
from stager.http.dependencies import OpenRecords
from stager.http.paging import LAST
from stager.http.problems import documented
from stager.insight.dependencies import OpenFeed
from stager.insight.live.stream import stream
from stager.records.events import events_of

router = APIRouter(prefix="/requests", tags=["requests"])

MEDIA_TYPE = "text/event-stream"
# Proxies should pass events on at once, not collect them.
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
EXAMPLE = (
    'event: progress\ndata: {"request_id": "019...", "username": "alice", "item_count": 1, "items_ended": 0, '
    '"bytes_done": 1048576, "files_done": 0, "size_bytes": 4194304}\n\n'
    'event: change\ndata: {"request_id": "019...", "username": "alice", "id": 7, "at": "2026-11-24T20:00:00Z", '
    '"kind": "completed", "detail": "1 completed", "cause": null, "until": null}\nid: 7\n\n'
)
STREAM: dict[int | str, dict[str, object]] = {
    200: {"description": "A stream of server-sent events.", "content": {MEDIA_TYPE: {"example": EXAMPLE}}}
}

LastEventId = Annotated[
    int | None,
    Header(
        ge=0, le=LAST, description="The last event that the client knows: those after it are sent.", examples=[4711]
    ),
]


@router.get(
    "/stream",
    operation_id="watch_requests",
    summary="Watch all requests",
    response_class=StreamingResponse,
    responses={**STREAM, **documented(401, 422, 429, 503)},
    dependencies=[LONG_CALL],
)
async def watch_all(
    records: OpenRecords, feed: OpenFeed, caller: CurrentCaller, last_event_id: LastEventId = None
) -> Response:
    """Stream the events and progress of all requests that the caller may see, from now or after a given event."""
    news = stream(records, feed, request_id=None, username=caller.sees_only, after=last_event_id)
    return StreamingResponse(news, media_type=MEDIA_TYPE, headers=HEADERS)


@router.get(
    "/{request_id}/stream",
    operation_id="watch_request",
    summary="Watch one request",
    response_class=StreamingResponse,
    responses={
        **STREAM,
        204: {"description": "The request has ended and the caller knows all its events: do not connect again."},
        **documented(401, 404, 422, 429, 503),
    },
    dependencies=[LONG_CALL],
)
async def watch_one(
    records: OpenRecords, feed: OpenFeed, row: SeenRequest, last_event_id: LastEventId = None
) -> Response:
    """Stream the past and new events of a request, and its progress; the stream ends with the request."""
    known = last_event_id or 0
    if row.status.is_final and not await records.ask(events_of, row.id, after=known, limit=1):
        return Response(status_code=HTTPStatus.NO_CONTENT)
    news = stream(records, feed, request_id=row.id, username=None, after=known)
    return StreamingResponse(news, media_type=MEDIA_TYPE, headers=HEADERS)
