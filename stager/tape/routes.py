"""The WLCG Tape REST API, version 1: stage, watch, cancel, release, and where files are.

The calls, their members and their statuses are those of the reference document
(github.com/wlcg-storage/wlcg-tape-rest-api).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import Response

from stager.api.dependencies import OpenIntake
from stager.callers.body_route import BodyRoute
from stager.callers.caller import Caller
from stager.callers.current import CurrentCaller, SeenRequest
from stager.downloads import CurrentDownloads
from stager.errors import RequestNotFound, TooManyItems
from stager.http.dependencies import CurrentSettings, OpenRecords
from stager.http.examples import MILLISECONDS, REQUEST_ID
from stager.http.headers import JupyterToken, described
from stager.http.problems import documented
from stager.http.responses import EscapedJSON
from stager.records.database import database_time
from stager.records.items import files_of
from stager.records.requests import cancel_items, cancel_request
from stager.records.tables import StagingRequestRow
from stager.records.tape import files_changed_since, forget_request, positions_of, release_files
from stager.settings import Settings
from stager.tape.localities import archive_info
from stager.tape.request_bodies import ArchiveBody, PathsBody, StageBody, malformed, staging_of
from stager.tape.response_bodies import (
    BASE,
    ArchiveInfo,
    StageCreated,
    StageState,
    WellKnown,
    address,
    stage_state,
    well_known,
)

ORIGIN = "tape"
# A change that is being written now bears the time at which its writing began.
OVERLAP = timedelta(seconds=10)
LATEST = 253_402_128_000_000  # the end of 9999-12-30, in milliseconds


class TapeRoute(BodyRoute):
    """A route of this API: a malformed call is answered by 400, as the reference document has it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of the call."""
        handle = super().get_route_handler()

        async def serve(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                raise malformed(error) from None

        return serve


router = APIRouter(tags=["tape"], route_class=TapeRoute)


async def _stage_request(row: SeenRequest) -> StagingRequestRow:
    """Return a request that came in by this API and was not deleted."""
    if row.origin != ORIGIN or row.forgotten_at is not None:
        raise RequestNotFound(row.id)
    return row


StageRequest = Annotated[StagingRequestRow, Depends(_stage_request)]
LOCATION = {
    "Location": described("Address at which to poll it.", f"https://staging.example.org{BASE}/stage/{REQUEST_ID}")
}
DONE: dict[int | str, dict[str, object]] = {200: {"description": "Done.", "content": {}}}
Since = Annotated[
    int | None,
    Query(
        ge=0,
        le=LATEST,
        description="Only files that changed since this time, the asOf of an earlier answer.",
        examples=[MILLISECONDS],
    ),
]


@router.get(
    "/.well-known/wlcg-tape-rest-api",
    operation_id="get_tape_rest_api",
    summary="Where the Tape REST API is, and its limits",
    responses=documented(400),
)
async def show_well_known(settings: CurrentSettings) -> WellKnown:
    """Return the site's name, the API's address and its limits."""
    return well_known(settings)


@router.post(
    f"{BASE}/stage",
    operation_id="create_stage",
    summary="Ask for files to be staged",
    status_code=HTTPStatus.CREATED,
    response_model=StageCreated,
    responses={
        201: {
            "description": "The request is recorded.",
            "headers": LOCATION,
        },
        **documented(400, 401, 403, 413, 422, 429, 503),
    },
)
async def stage(
    *,
    settings: CurrentSettings,
    intake: OpenIntake,
    caller: CurrentCaller,
    body: StageBody,
    x_jupyter_token: JupyterToken = None,
) -> Response:
    """Record a stage request; a file that cannot be staged fails alone, and its state says why."""
    if len(body.files) > settings.max_items_in_body:
        raise TooManyItems(settings.max_items_in_body, "ask for them in several requests")
    wanted, wishes = staging_of(body, caller, settings)
    await intake.check_terms(caller, wanted)
    row = await intake.record(caller, wanted, origin=ORIGIN, wishes=wishes, secret=x_jupyter_token)
    headers = {"Location": address(settings, f"/stage/{row.id}")}
    return EscapedJSON({"requestId": row.id}, status_code=HTTPStatus.CREATED, headers=headers)


@router.get(
    f"{BASE}/stage/{{request_id}}",
    operation_id="get_stage",
    summary="The state of a stage request",
    response_model_exclude_none=True,
    responses=documented(400, 401, 404, 503),
)
async def show_stage(records: OpenRecords, row: StageRequest, since: Since = None) -> StageState:
    """Return the state of a request and its files; with since, only of files that have changed."""
    as_of = await records.ask(database_time)
    if since is None:
        return stage_state(row, await records.ask(files_of, row.id), as_of=as_of)
    moment = datetime.fromtimestamp(since / 1000, UTC) - OVERLAP
    return stage_state(row, await records.ask(files_changed_since, row.id, moment), as_of=as_of)


@router.post(
    f"{BASE}/stage/{{request_id}}/cancel",
    summary="Cancel some files of a stage request",
    responses=DONE | documented(400, 401, 403, 404, 503),
    response_class=Response,
)
async def cancel_stage(records: OpenRecords, row: StageRequest, body: PathsBody) -> Response:
    """Cancel the named files that have not ended; none if one of the paths is not the request's."""
    positions = await records.ask(positions_of, row.id, body.sources)
    await records.ask(cancel_items, row.id, positions)
    return Response()


@router.delete(
    f"{BASE}/stage/{{request_id}}",
    summary="Cancel and forget a stage request",
    responses=DONE | documented(400, 401, 403, 404, 503),
    response_class=Response,
)
async def delete_stage(records: OpenRecords, row: StageRequest) -> Response:
    """Cancel what has not ended; afterwards this API does not know the request."""
    await records.ask(cancel_request, row.id)
    await records.ask(forget_request, row.id)
    return Response()


@router.post(
    f"{BASE}/release/{{request_id}}",
    operation_id="release_stage",
    summary="Say that staged files are not needed any more",
    responses=DONE | documented(400, 401, 403, 404, 503),
    response_class=Response,
)
async def release(records: OpenRecords, row: StageRequest, body: PathsBody) -> Response:
    """Record that the files are not needed any more; they stay where they are."""
    await records.ask(release_files, row.id, body.sources)
    return Response()


@router.post(
    f"{BASE}/archiveinfo",
    operation_id="get_archive_info",
    summary="Where files are",
    response_model_exclude_none=True,
    responses=documented(400, 401, 403, 503),
)
async def show_archive_info(
    settings: CurrentSettings, downloads: CurrentDownloads, caller: CurrentCaller, body: ArchiveBody
) -> tuple[ArchiveInfo, ...]:
    """Return where each file is, or why that is not known; of too many, only the first."""
    some = body.paths[: settings.max_items_in_body]
    return await downloads.threads.do(caller.username, _archive_infos, caller, some, settings)


def _archive_infos(caller: Caller, paths: tuple[str, ...], settings: Settings) -> tuple[ArchiveInfo, ...]:
    return tuple(archive_info(caller, path, settings=settings) for path in paths)
