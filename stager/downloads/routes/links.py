"""Download links for browsers, which carry no token: each serves one download of one file or directory."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from http import HTTPStatus
from typing import Annotated

import structlog
from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from stager.callers.current import CurrentCaller
from stager.downloads import CurrentDownloads
from stager.downloads.respond import Archive, WantedDownload, look_at, respond
from stager.downloads.routes.files import (
    FILE_RESPONSES,
    ArchiveAsked,
    AreaAsked,
    PathAsked,
    WhoseAsked,
    not_found,
    path_in,
    wanted_by,
)
from stager.errors import LinkNotFound
from stager.http.examples import ENDED, SECRET
from stager.http.problems import documented
from stager.http.record_views import View
from stager.records.downloads import LinkedObject, add_link, look_at_link, take_link

router = APIRouter(tags=["downloads"])

# How long a link is valid, in seconds.
LINK_SECONDS = 60.0
# Random bytes in a link's secret.
SECRET_BYTES = 32
# The address is a secret: neither it nor its answer may be cached.
NOT_KEPT = {"Cache-Control": "no-store"}


class Link(View):
    """An address from which one file or directory can be downloaded, once, without a bearer token."""

    url: str = Field(
        description="The address; whoever has it gets the file.",
        examples=[f"https://staging.example.org/links?token={SECRET}"],
    )
    expires_at: datetime = Field(description="Until when the link is valid.", examples=[ENDED])


@router.post(
    "/files/{area}/{path:any}/link",
    operation_id="create_link",
    summary="An address for a browser: one download, within a minute, without a token",
    status_code=HTTPStatus.CREATED,
    responses=documented(400, 401, 403, 404, 409, 422, 503),
)
async def make_link(
    *,
    request: Request,
    response: Response,
    downloads: CurrentDownloads,
    caller: CurrentCaller,
    area: AreaAsked,
    path: PathAsked,  # noqa: ARG001 - its bytes are read from the address
    username: WhoseAsked = None,
    archive: ArchiveAsked = Archive.TAR,
) -> Link:
    """Create a link to what the caller may download now; it will be read with the same user's rights."""
    wanted = await wanted_by(caller, area, path_in(request).removesuffix("/link"), username=username, archive=archive)
    with not_found():
        whole = await look_at(downloads, wanted)
    whole.source.descriptor.close()
    secret = secrets.token_urlsafe(SECRET_BYTES)
    linked = LinkedObject(
        username=wanted.username,
        area=area,
        path=wanted.path,
        archive=archive.value,
        is_bounded=wanted.is_bounded,
    )
    expires_at = await downloads.records.ask(add_link, _digest(secret), linked, seconds=LINK_SECONDS)
    response.headers.update(NOT_KEPT)
    address = f"{downloads.settings.public_url}/links?token={secret}"
    return Link(url=address, expires_at=expires_at)


@router.get(
    "/links",
    summary="Download what a link leads to, once",
    response_class=Response,
    responses=FILE_RESPONSES,
)
@router.head("/links", include_in_schema=False)
async def follow_link(
    request: Request,
    downloads: CurrentDownloads,
    token: Annotated[str, Query(description="The link's secret.", examples=[SECRET])],
) -> Response:
    """Send the file or directory of a link to its first user; a HEAD does not use the link up."""
    find = look_at_link if request.method == "HEAD" else take_link
    linked = await downloads.records.ask(find, _digest(token))
    if linked is None:
        raise LinkNotFound
    wanted = WantedDownload(**{**vars(linked), "archive": Archive(linked.archive)})
    structlog.contextvars.bind_contextvars(area=linked.area, source=linked.path, username=linked.username)
    with not_found():
        answer = await respond(downloads, request, wanted)
    answer.headers.update(NOT_KEPT)
    return answer


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
