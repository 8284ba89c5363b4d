"""Staging requests as they are recorded."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query

from stager.models import Status
from stager.records import files_of, list_requests
from stager.service.callers.current import CurrentCaller, SeenRequest, seen_request
from stager.service.door import OpenDoor
from stager.service.problems import documented
from stager.service.views import RequestPage, RequestView, summary_of, view_of

router = APIRouter(prefix="/requests", tags=["requests"])

MAX_PAGE = 1000


@router.get("", summary="Requests, newest first, in pages", responses=documented(401, 404, 422, 503))
@router.get("/", include_in_schema=False)
async def show_requests(
    *,
    door: OpenDoor,
    caller: CurrentCaller,
    username: Annotated[str | None, Query(description="Only this user's.")] = None,
    method: Annotated[str | None, Query(description="Only by this method.")] = None,
    status: Annotated[Status | None, Query(description="Only those that stand so.")] = None,
    since: Annotated[datetime | None, Query(description="Only those made at this time or later.")] = None,
    cursor: Annotated[str | None, Query(description="The previous page's next_cursor.")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="How many at most.")] = 100,
) -> RequestPage:
    """Return a page of requests that the caller may see, without their items."""
    if username and not caller.sees(username):
        return RequestPage(requests=(), next_cursor=None)
    if cursor:
        await seen_request(door, caller, cursor)
    page = await door.ask(
        list_requests,
        username=username or caller.sees_only,
        method=method,
        status=status,
        since=since and since.astimezone(),
        cursor=cursor,
        limit=limit,
    )
    requests = tuple(summary_of(row, door.settings) for row in page.requests)
    return RequestPage(requests=requests, next_cursor=page.next_cursor)


@router.get("/{request_id}", summary="One request with its items", responses=documented(401, 404, 422, 503))
@router.get("/{request_id}/", include_in_schema=False)
async def show_request(
    door: OpenDoor,
    row: SeenRequest,
    items_from: Annotated[int, Query(ge=0, le=10_000, description="Place of the first item to show.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="How many items at most.")] = MAX_PAGE,
) -> RequestView:
    """Return how a request and its items stand."""
    files = await door.ask(files_of, row.id, after=items_from - 1, limit=limit + 1)
    next_item = files[limit].position if len(files) > limit else None
    return view_of(row, files[:limit], settings=door.settings, next_item=next_item)
