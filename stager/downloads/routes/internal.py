"""The route by which an nginx in front reports the files that it has sent; without nginx there is no such route."""

from __future__ import annotations

from hmac import compare_digest
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Query
from starlette.responses import Response

from stager.downloads import CurrentDownloads
from stager.errors import Cancelled, NotAllowed
from stager.http.dependencies import CurrentSettings


async def _check_secret(settings: CurrentSettings, x_stager_secret: Annotated[str, Header()] = "") -> None:
    """Check by the secret that the call comes from our nginx."""
    known = settings.nginx_secret
    if known is None or not compare_digest(known.get_secret_value().encode(), x_stager_secret.encode()):
        reason = "only the nginx in front may report what it has sent (STAGER_NGINX_SECRET)"
        raise NotAllowed(reason)


router = APIRouter(prefix="/internal", include_in_schema=False, dependencies=[Depends(_check_secret)])


@router.post("/sent/{download_id}")
async def note_sent(
    downloads: CurrentDownloads,
    download_id: str,
    bytes_sent: Annotated[int, Query(ge=0)],
    is_whole: Annotated[Literal["OK", ""], Query()] = "",
) -> Response:
    """Close a download's record with the bytes that nginx has sent."""
    error = None if is_whole else Cancelled(f"the client hung up after {bytes_sent} bytes")
    downloads.recorder.end_elsewhere(download_id, bytes_sent=bytes_sent, error=error)
    return Response(status_code=HTTPStatus.NO_CONTENT)
