"""The items of a request."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from stager.models import Status
from stager.records import files_of
from stager.service.callers.current import SeenRequest
from stager.service.door import OpenDoor
from stager.service.problems import documented
from stager.service.routes.paging import MAX_PAGE, Cursor, PageSize
from stager.service.views import ItemPage, items_of

router = APIRouter(prefix="/requests", tags=["requests"])


@router.get("/{request_id}/items", summary="The items of a request, in pages", responses=documented(401, 404, 422, 503))
async def show_items(
    door: OpenDoor,
    row: SeenRequest,
    status: Annotated[list[Status] | None, Query(description="Only those that stand so; may be given twice.")] = None,
    cursor: Cursor = None,
    limit: PageSize = MAX_PAGE,
) -> ItemPage:
    """Return a page of items by their place in the request."""
    files = await door.ask(files_of, row.id, after=cursor, limit=limit + 1, statuses=status or ())
    return items_of(files, limit=limit)
