"""Routes that create, list and show staging requests."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import Response

from stager.api.dependencies import OpenIntake, OpenOutcomes
from stager.api.large.manifest import is_manifest
from stager.api.outcome import Outcomes
from stager.api.request_list import RequestPage, listed
from stager.callers.body_route import BodyRoute
from stager.callers.current import CurrentCaller, SeenRequest, seen_request, settle_caller
from stager.callers.request_body import RequestBody, named
from stager.errors import TooManyItems, UnreadableManifest
from stager.http.dependencies import CurrentSettings, OpenRecords
from stager.http.examples import BEGAN, REQUEST_ID
from stager.http.headers import IdempotencyKey, JupyterToken, Prefer, described, preferred_wait
from stager.http.paging import MAX_PAGE, PageSize
from stager.http.problems import documented
from stager.http.record_views import RequestSummary, RequestView, summary_of, view_of
from stager.http.responses import EscapedJSON
from stager.models import Moment, StagingRequest, Status
from stager.records.events import last_events
from stager.records.items import files_of
from stager.records.requests import list_requests
from stager.records.tables import StagingRequestRow
from stager.settings import Settings

INSTEAD = "upload them as a manifest (POST /requests/from-manifest)"
ELSEWHERE = f"Here items come as JSON; if they are CSV or JSON Lines, {INSTEAD}"


class RequestRoute(BodyRoute):
    """A route whose items come as JSON: who sends a manifest is told where to send it, before it is read."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of the call."""
        handle = super().get_route_handler()

        async def serve(request: Request) -> Response:
            await settle_caller(request)
            if request.method == "POST" and is_manifest(request.headers.get("content-type", "")):
                raise UnreadableManifest(ELSEWHERE)
            try:
                return await handle(request)
            except RequestValidationError as error:
                raise RequestValidationError([*map(_with_way_out, error.errors())]) from None

        return serve


def _with_way_out(found: dict[str, Any]) -> dict[str, Any]:
    is_none = found["type"] == "model_attributes_type" and found["loc"] == ("body",)
    is_no_json = is_none or found["type"] == "json_invalid"
    return {**found, "msg": f"{found['msg']}. {ELSEWHERE}"} if is_no_json else found


router = APIRouter(prefix="/requests", tags=["requests"], route_class=RequestRoute)

APPLIED = {"Preference-Applied": described("What was followed of Prefer.", "wait=10")}
LOCATION = APPLIED | {"Location": described("Address of the request.", f"/requests/{REQUEST_ID}")}
# Answers to the calls that create a request, in whichever form.
TAKEN_IN: dict[int | str, dict[str, Any]] = {
    200: {"description": "It ended within the time that Prefer gave.", "headers": LOCATION},
    202: {"description": "The request is recorded.", "model": RequestSummary, "headers": LOCATION},
}


@router.post(
    "",
    operation_id="create_request",
    summary="Ask for a staging of one or more items",
    response_model=RequestSummary,
    responses={
        **TAKEN_IN,
        **documented(400, 401, 403, 409, 413, 415, 422, 429, 503),
    },
)
async def ask_for_staging(
    *,
    settings: CurrentSettings,
    intake: OpenIntake,
    outcomes: OpenOutcomes,
    caller: CurrentCaller,
    asked: RequestBody,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
    x_jupyter_token: JupyterToken = None,
) -> Response:
    """Record a request and say where it is; with Prefer, wait for its outcome."""
    if len(asked.items) > settings.max_items_in_body:
        raise TooManyItems(settings.max_items_in_body, INSTEAD)
    wanted: StagingRequest = named(asked, caller, place="body")
    await intake.check_terms(caller, wanted)
    row = await intake.record(caller, wanted, origin="api", idempotency_key=idempotency_key, secret=x_jupyter_token)
    return await accepted(row, prefer=prefer, settings=settings, outcomes=outcomes)


async def accepted(
    row: StagingRequestRow, *, prefer: list[str] | None, settings: Settings, outcomes: Outcomes
) -> Response:
    """Return the answer with a request's address and status, after the wait that Prefer asks for."""
    headers = {"Location": f"/requests/{row.id}"}
    wait = preferred_wait(prefer, longest=settings.wait)
    waited = None if wait is None else await outcomes.wait(row, seconds=wait)
    if waited:
        row = waited
        headers["Preference-Applied"] = f"wait={wait}"
    status = HTTPStatus.OK if waited and row.status.is_final else HTTPStatus.ACCEPTED
    return EscapedJSON(summary_of(row, settings).model_dump(mode="json"), status_code=status, headers=headers)


@router.get(
    "",
    operation_id="list_requests",
    summary="Requests, newest first, in pages",
    responses=documented(401, 404, 422, 503),
)
async def show_requests(
    *,
    settings: CurrentSettings,
    records: OpenRecords,
    caller: CurrentCaller,
    username: Annotated[str | None, Query(description="Only requests of this user.", examples=["alice"])] = None,
    method: Annotated[str | None, Query(description="Only requests by this method.", examples=["local_copy"])] = None,
    status: Annotated[
        list[Status] | None, Query(description="Only requests of this status; may be given several times.")
    ] = None,
    since: Annotated[
        Moment | None, Query(description="Only requests made at this time or later.", examples=[BEGAN])
    ] = None,
    cursor: Annotated[str | None, Query(description="The previous page's next_cursor.", examples=[REQUEST_ID])] = None,
    limit: PageSize = 100,
) -> RequestPage:
    """Return a page of requests that the caller may see, without their items."""
    if username and not caller.sees(username):
        return RequestPage(requests=(), next_cursor=None)
    if cursor:
        await seen_request(records, caller, cursor)
    page = await records.ask(
        list_requests,
        username=username or caller.sees_only,
        method=method,
        statuses=status or (),
        since=since,
        cursor=cursor,
        limit=limit,
    )
    events = await records.ask(last_events, [row.id for row in page.requests])
    requests = listed(page.requests, events, settings=settings)
    return RequestPage(requests=requests, next_cursor=page.next_cursor)


@router.get(
    "/{request_id}",
    operation_id="get_request",
    summary="One request with its items",
    responses=documented(401, 404, 422, 503),
)
async def show_request(
    settings: CurrentSettings,
    records: OpenRecords,
    row: SeenRequest,
    items_from: Annotated[int, Query(ge=0, lt=2**31, description="Position of the first item to show.")] = 0,
    limit: PageSize = MAX_PAGE,
) -> RequestView:
    """Return a request and its items."""
    files = await records.ask(files_of, row.id, after=items_from - 1, limit=limit + 1)
    next_item = files[limit].position if len(files) > limit else None
    return view_of(row, files[:limit], settings=settings, next_item=next_item)
