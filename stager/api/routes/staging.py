"""The demo's call: stage one file or directory, and wait for it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

import structlog
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, SecretStr
from starlette.requests import Request
from starlette.responses import Response

from stager.api.dependencies import OpenIntake, OpenOutcomes
from stager.api.routes.requests import APPLIED, LOCATION
from stager.callers.area_checks import destination_path
from stager.callers.body_route import BodyRoute
from stager.callers.current import CurrentCaller
from stager.callers.quota import check_open_requests
from stager.callers.request_body import WHOSE, name_of
from stager.downloads import CurrentDownloads
from stager.downloads.respond import WantedDownload, record_and_respond
from stager.downloads.routes.files import BINARY, FILE_HEADERS
from stager.http.dependencies import CurrentSettings, OpenRecords
from stager.http.examples import SECRET
from stager.http.headers import IdempotencyKey, JupyterToken, Prefer, preferred_wait
from stager.http.problems import documented, error_class, staging_problem
from stager.http.record_views import Accepted, Staged
from stager.http.responses import EscapedJSON
from stager.models import USER_AREA, PathText, StagingItem, StagingRequest, Status
from stager.records.database import AsyncDatabase
from stager.records.downloads import DIRECT_DOWNLOAD
from stager.records.items import files_of
from stager.records.tables import StagedFile, StagingRequestRow

router = APIRouter(tags=["staging"], route_class=BodyRoute)
logger = structlog.get_logger(__name__)

SOURCE_AREA = "source"


class StagingPaths(BaseModel):
    """Source and destination."""

    local_path_on_storage: PathText = Field(
        description="Path in the source area: relative to it, or absolute inside it.", examples=["File1.txt"]
    )
    relative_path: PathText = Field(
        description="Path in the user's folder of the user area.", examples=["File1Copy.txt"]
    )


class StageDataBody(BaseModel):
    """The body of the demo's call."""

    data: StagingPaths


@router.post(
    "/stage_data",
    summary="Stage a file or a directory, and wait for the outcome",
    response_model=Staged,
    responses={
        200: {
            "description": "The data are there; for direct_download, the file itself.",
            "content": {"application/octet-stream": BINARY},
            "headers": FILE_HEADERS | APPLIED,
        },
        202: {
            "model": Accepted,
            "description": "The request takes longer; Location says where its outcome will be.",
            "headers": LOCATION,
        },
        **documented(400, 401, 403, 409, 422, 429, 500, 503, 507),
    },
)
@router.post("/stage-data", include_in_schema=False)
async def stage_data(
    *,
    request: Request,
    settings: CurrentSettings,
    records: OpenRecords,
    intake: OpenIntake,
    outcomes: OpenOutcomes,
    downloads: CurrentDownloads,
    caller: CurrentCaller,
    body: StageDataBody,
    method: Annotated[str, Query(description="Staging method.", examples=["local_copy"])],
    username: Annotated[str | None, Query(description=WHOSE, examples=["alice"])] = None,
    jupyter_token: Annotated[
        SecretStr | None,
        Query(description="Accepted for old clients; prefer the header.", deprecated=True, examples=[SECRET]),
    ] = None,
    x_jupyter_token: JupyterToken = None,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
) -> Response:
    """Record the request, hand it to Prefect and answer with its outcome."""
    paths = body.data
    structlog.contextvars.bind_contextvars(source=paths.local_path_on_storage, destination=paths.relative_path)
    username = name_of(username, caller, place="query")
    await intake.check(
        caller,
        method=method,
        username=username,
        source_area=SOURCE_AREA,
        sources=[paths.local_path_on_storage],
        destination_area=None if method == DIRECT_DOWNLOAD else USER_AREA,
        more=frozenset({DIRECT_DOWNLOAD}),
    )
    if method == DIRECT_DOWNLOAD:
        # Each download is a request of its own, of the file as it is then: it takes no idempotency key.
        await check_open_requests(records, username, limit=settings.max_open_requests)
        wanted = WantedDownload(
            area=SOURCE_AREA,
            path=paths.local_path_on_storage,
            username=username,
            destination=paths.relative_path,
            is_bounded=caller.is_bounded(SOURCE_AREA),
        )
        return await record_and_respond(downloads, wanted)
    asked = _in_our_words(paths, method=method, username=username)
    row = await intake.record(
        caller,
        asked,
        origin="stage_data",
        idempotency_key=idempotency_key,
        secret=jupyter_token if x_jupyter_token is None else x_jupyter_token,
    )
    wait = preferred_wait(prefer, longest=settings.wait)
    waited = await outcomes.wait(row, seconds=settings.wait if wait is None else wait)
    answer = await _answer(request, records, waited or row)
    if waited and wait is not None:
        answer.headers["Preference-Applied"] = f"wait={wait}"
    return answer


def _in_our_words(paths: StagingPaths, *, method: str, username: str) -> StagingRequest:
    item = StagingItem(source=paths.local_path_on_storage, destination=paths.relative_path)
    return StagingRequest(method=method, username=username, items=(item,), destination_area=USER_AREA)


async def _answer(request: Request, records: AsyncDatabase, row: StagingRequestRow) -> Response:
    """Return the outcome in the demo's words."""
    if not row.status.is_final:
        return _accepted(row)
    file = (await records.ask(files_of, row.id))[0]
    logger.info("Request ended", status=row.status.value, reason=file.error_reason or row.error_reason)
    if row.status is Status.COMPLETED:
        return _success(f"Data staged for user {row.username} with method {row.method}")
    if row.status is Status.SKIPPED:
        place = await destination_path(row, file.relative_path)
        return _success(f"Data already available at {place}")
    return _failure(request, row, file)


def _accepted(row: StagingRequestRow) -> Response:
    where = f"/requests/{row.id}"
    accepted = Accepted(
        status=row.status, message=f"The request is {row.status}; see {where} for its outcome", request_id=row.id
    )
    return EscapedJSON(accepted.model_dump(), status_code=HTTPStatus.ACCEPTED, headers={"Location": where})


def _success(message: str) -> Response:
    return EscapedJSON(Staged(message=message).model_dump())


def _failure(request: Request, row: StagingRequestRow, file: StagedFile) -> Response:
    reason = file.error_reason or row.error_reason or "It failed without a reason"
    return staging_problem(request, error_class(file.error_type), reason)
