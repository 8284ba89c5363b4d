"""A small file to try the service with, where the operator allows it."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import structlog
from fastapi import APIRouter
from pydantic import Field

from stager.api.new_file import make_file
from stager.callers.area_checks import resolve_area
from stager.callers.body_route import BodyRoute
from stager.callers.current import CurrentCaller
from stager.errors import BodyTooLarge, NotAllowed
from stager.http.dependencies import CurrentSettings
from stager.http.problems import documented
from stager.http.record_views import Staged
from stager.models import Frozen, PathText

router = APIRouter(prefix="/create-file", tags=["site"], route_class=BodyRoute)
logger = structlog.get_logger(__name__)


class NewFile(Frozen):
    """The file to create."""

    path: PathText = Field(
        description="Path in the source area: relative to it, or absolute inside it.", examples=["try/File1.txt"]
    )
    content: str = Field("", description="Content of the file, as UTF-8.", examples=["Hello"])


@router.post(
    "",
    summary="Make a small file in the source area, to try the service with",
    status_code=HTTPStatus.CREATED,
    responses=documented(400, 401, 403, 409, 413, 422, 503, 507),
)
async def create_file(settings: CurrentSettings, caller: CurrentCaller, wanted: NewFile) -> Staged:
    """Create a file where nothing is; for administrators, where the operator allows it."""
    caller.check_admin()
    caller.check_area("source", "write")
    limit = settings.create_file_bytes
    if limit == 0:
        reason = "this site creates no files (STAGER_CREATE_FILE_BYTES)"
        raise NotAllowed(reason)
    content = wanted.content.encode("utf-8", "replace")
    if len(content) > limit:
        raise BodyTooLarge(limit)
    area = await asyncio.to_thread(resolve_area, "source")
    location = await asyncio.to_thread(make_file, area, wanted.path, content)
    logger.info("File created", path=location.display, size_bytes=len(content))
    return Staged(message=f"File created at {location.display}")
