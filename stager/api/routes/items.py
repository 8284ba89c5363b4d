"""The items of a request."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from stager.callers.current import SeenRequest
from stager.http.dependencies import OpenRecords
from stager.http.paging import MAX_PAGE, Cursor, PageSize
from stager.http.problems import documented
from stager.http.record_views import ItemPage, items_of
from stager.models import Status
from stager.records.items import files_of

router = APIRouter(prefix="/requests", tags=["requests"])


@router.get(
    "/{request_id}/items",
    operation_id="list_items",
    summary="The items of a request, in pages",
    responses=documented(401, 404, 422, 503),
)
async def show_items(
    records: OpenRecords,
    row: SeenRequest,
    status: Annotated[
        list[Status] | None, Query(description="Only items of this status; may be given several times.")
    ] = None,
    cursor: Cursor = None,
    limit: PageSize = MAX_PAGE,
) -> ItemPage:
    """Return a page of items, in the order of the request."""
    files = await records.ask(files_of, row.id, after=cursor, limit=limit + 1, statuses=status or ())
    return items_of(files, limit=limit)
