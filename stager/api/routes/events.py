"""The events of a request: why its state changed."""

from __future__ import annotations

from fastapi import APIRouter

from stager.callers.current import SeenRequest
from stager.http.dependencies import OpenRecords
from stager.http.paging import MAX_PAGE, Cursor, PageSize
from stager.http.problems import documented
from stager.http.record_views import EventPage, events_in
from stager.records.events import events_of

router = APIRouter(prefix="/requests", tags=["requests"])


@router.get(
    "/{request_id}/events",
    operation_id="list_events",
    summary="What happened to a request, in pages",
    responses=documented(401, 404, 422, 503),
)
async def show_events(
    records: OpenRecords, row: SeenRequest, cursor: Cursor = None, limit: PageSize = MAX_PAGE
) -> EventPage:
    """Return a page of events in the order in which they happened."""
    events = await records.ask(events_of, row.id, after=cursor, limit=limit + 1)
    return events_in(events, limit=limit)
