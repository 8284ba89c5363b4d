"""The demo's call: stage one file or directory, and wait for it."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Annotated

import structlog
from fastapi import APIRouter, Header, Query
from pydantic import BaseModel, Field, SecretStr
from starlette.requests import Request
from starlette.responses import Response

from stager.errors import InvalidMethod
from stager.identity import resolve
from stager.methods import METHODS
from stager.models import PathText, StagingItem, StagingRequest, Status
from stager.records import DIRECT_DOWNLOAD, StagedFile, StagingRequestRow, create_request, files_of
from stager.service.areas import destination_path
from stager.service.callers.caller import Caller
from stager.service.callers.current import CurrentCaller
from stager.service.door import Door, OpenDoor
from stager.service.downloads import OpenDesk
from stager.service.downloads.hand_out import Wanted, record_and_hand_out
from stager.service.outcome import wait_for_outcome
from stager.service.problems import documented, error_class, staging_problem
from stager.service.quota import check_open_requests
from stager.service.responses import EscapedJSON
from stager.service.views import Accepted, Staged

router = APIRouter(tags=["staging"])
logger = structlog.get_logger(__name__)

SOURCE_AREA, USER_AREA = "source", "user"


class StagingPaths(BaseModel):
    """From where to where."""

    local_path_on_storage: PathText = Field(
        description="Path in the source area: relative to it, or absolute inside it.", examples=["File1.txt"]
    )
    relative_path: PathText = Field(
        description="Path in the user's folder of the user area.", examples=["File1Copy.txt"]
    )


class StageDataBody(BaseModel):
    """The demo's body."""

    data: StagingPaths


@router.post(
    "/stage_data",
    summary="Stage a file or a directory, and wait for the outcome",
    response_model=Staged,
    responses={
        200: {
            "description": "It is there. For direct_download, the file itself.",
            "content": {"application/octet-stream": {}},
        },
        202: {"model": Accepted, "description": "It takes longer; Location says where the outcome will be."},
        **documented(400, 401, 403, 409, 422, 429, 500, 503, 507),
    },
)
@router.post("/stage_data/", include_in_schema=False)
@router.post("/stage-data", include_in_schema=False)
@router.post("/stage-data/", include_in_schema=False)
async def stage_data(
    *,
    request: Request,
    door: OpenDoor,
    desk: OpenDesk,
    caller: CurrentCaller,
    body: StageDataBody,
    method: Annotated[str, Query(description="Staging method.", examples=["local_copy"])],
    username: Annotated[str, Query(description="Whose data they become.")],
    jupyter_token: Annotated[  # noqa: ARG001 - no method needs it yet
        SecretStr | None, Query(description="Taken for old clients' sake; prefer the header.", deprecated=True)
    ] = None,
    x_jupyter_token: Annotated[  # noqa: ARG001 - likewise
        SecretStr | None, Header(description="The user's JupyterHub token, kept nowhere.")
    ] = None,
) -> Response:
    """Record the request, hand it to Prefect and answer with its outcome."""
    paths = body.data
    structlog.contextvars.bind_contextvars(  # on every line of this request
        method=method, username=username, source=paths.local_path_on_storage, destination=paths.relative_path
    )
    _check_method(door, method)
    _check_caller(caller, method=method, username=username)
    await asyncio.to_thread(resolve, username, users_file=door.settings.users_file)
    await check_open_requests(door, username)
    if method == DIRECT_DOWNLOAD:
        source, destination = paths.local_path_on_storage, paths.relative_path
        wanted = Wanted(area=SOURCE_AREA, path=source, username=username, destination=destination)
        return await record_and_hand_out(desk, wanted)
    row = await _record(door, paths, method=method, username=username)
    door.recorded.set()
    row = await wait_for_outcome(door, row, seconds=door.settings.wait)
    return await _answer(request, door, row)


def _check_method(door: Door, method: str) -> None:
    """Refuse a method that the operator does not allow or that does not exist."""
    exists = method in METHODS or method == DIRECT_DOWNLOAD
    if not exists or method not in door.settings.allowed_methods:
        raise InvalidMethod(method)


def _check_caller(caller: Caller, *, method: str, username: str) -> None:
    """Refuse what the caller may not do."""
    caller.user(username)
    caller.check_method(method)
    for area in (SOURCE_AREA,) if method == DIRECT_DOWNLOAD else (SOURCE_AREA, USER_AREA):
        caller.check_area(area)


async def _record(door: Door, paths: StagingPaths, *, method: str, username: str) -> StagingRequestRow:
    """Write the request down before anybody is asked to do it."""
    item = StagingItem(source=paths.local_path_on_storage, destination=paths.relative_path)
    wanted = StagingRequest(method=method, username=username, items=(item,), destination_area=USER_AREA)
    row = await door.ask(create_request, wanted)
    structlog.contextvars.bind_contextvars(staging_request=row.id)
    logger.info("Request recorded")
    return row


async def _answer(request: Request, door: Door, row: StagingRequestRow) -> Response:
    """Answer in the demo's words."""
    if not row.status.is_final:
        return _accepted(row)
    file = (await door.ask(files_of, row.id))[0]
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
