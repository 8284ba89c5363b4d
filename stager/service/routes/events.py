"""The events of a request: why its state changed."""

from __future__ import annotations

from fastapi import APIRouter

from stager.records import events_of
from stager.service.callers.current import SeenRequest
from stager.service.door import OpenDoor
from stager.service.problems import documented
from stager.service.routes.paging import MAX_PAGE, Cursor, PageSize
from stager.service.views import EventPage, events_in

router = APIRouter(prefix="/requests", tags=["requests"])


@router.get(
    "/{request_id}/events", summary="What happened to a request, in pages", responses=documented(401, 404, 422, 503)
)
async def show_events(door: OpenDoor, row: SeenRequest, cursor: Cursor = None, limit: PageSize = MAX_PAGE) -> EventPage:
    """Return a page of events in the order in which they happened."""
    events = await door.ask(events_of, row.id, after=cursor, limit=limit + 1)
    return events_in(events, limit=limit)
