"""Routes that download files and directories of an area."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import unquote_to_bytes

import structlog
from fastapi import APIRouter, HTTPException, Path, Query
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response

from stager.callers.area_checks import check_sources
from stager.callers.caller import Caller
from stager.callers.current import CurrentCaller
from stager.downloads import CurrentDownloads
from stager.downloads.presigned import redirect
from stager.downloads.respond import Archive, WantedDownload, respond
from stager.errors import SourceNotFound, UnknownArea
from stager.http.headers import described
from stager.http.problems import documented
from stager.records.downloads import DIRECT_DOWNLOAD


class _AnyPath(Convertor[str]):
    """Matches the rest of an address, line breaks included, since a name may have them."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("any", _AnyPath())
router = APIRouter(prefix="/files", tags=["downloads"])

AreaAsked = Annotated[str, Path(description="A storage area.", examples=["source"])]
PathAsked = Annotated[str, Path(description="A path in it.", examples=["night-1/a.fits"])]
WhoseAsked = Annotated[
    str | None, Query(description="Whose download it is; whose folder, in a users' area.", examples=["alice"])
]
ArchiveAsked = Annotated[Archive, Query(description="The archive format for a directory.")]

FILE_HEADERS = {
    "ETag": described("The tag of this state of the file.", '"adler32-0a1b2c3d-400-17f3a5c0de000000"'),
    "Last-Modified": described("When it was changed last.", "Tue, 24 Nov 2026 20:00:00 GMT"),
    "Cache-Control": described("Only the caller may cache it, revalidating it.", "private, no-cache"),
    "Accept-Ranges": described("Parts can be asked for.", "bytes"),
    "Content-Disposition": described("The name to save it under.", 'attachment; filename="image.fits"'),
    "Repr-Digest": described("The whole file's checksum, if known.", "adler=:ChssPQ==:"),
}
BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_BYTES = dict.fromkeys(("application/octet-stream", "application/x-tar", "application/zip"), BINARY)
FILE_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file, or the directory as an archive.", "content": _BYTES, "headers": FILE_HEADERS},
    206: {
        "description": "The parts that Range asks for; several come as multipart/byteranges.",
        "content": {"application/octet-stream": BINARY, "multipart/byteranges": BINARY},
        "headers": {**FILE_HEADERS, "Content-Range": described("Which part is sent.", "bytes 0-99/1024")},
    },
    304: {"description": "What the caller has is still current.", "headers": FILE_HEADERS},
    412: {"description": "The file is not the one that If-Match or If-Unmodified-Since asks for."},
    416: {
        "description": "None of the parts that Range asks for is in the file.",
        "headers": {"Content-Range": described("Length of the file.", "bytes */1024")},
    },
    **documented(400, 401, 403, 404, 409, 422, 429, 503),
}
_ADDRESS = "https://s3.example.org/science/staged/alice/a.fits?X-Amz-Expires=300"
_IN_STORE: dict[int | str, dict[str, Any]] = {
    307: {
        "description": "The object store itself sends it, from this address, which holds for some minutes.",
        "headers": {"Location": described("Where it is; whoever has it gets the object.", _ADDRESS)},
    },
}
_ETAG, _MODIFIED = (FILE_HEADERS[name]["example"] for name in ("ETag", "Last-Modified"))
# Headers that are read where the file is sent, not by FastAPI.
_ASKED = {
    "parameters": [
        {"name": name, "in": "header", **described(description, example)}
        for name, description, example in (
            ("Range", "The wanted parts of the file, in bytes.", "bytes=0-99"),
            ("If-Range", "Send the parts if the file is still this one, else the whole file.", _ETAG),
            ("If-Match", "Send the file only if it is one of these; else 412.", _ETAG),
            ("If-None-Match", "Send the file only if it is none of these; else 304.", _ETAG),
            ("If-Modified-Since", "Send the file only if it was changed since; else 304.", _MODIFIED),
            ("If-Unmodified-Since", "Send the file only if it was not changed since; else 412.", _MODIFIED),
        )
    ]
}


@router.get(
    "/{area}/{path:any}",
    operation_id="get_file",
    summary="A file, a part of it, or a directory as an archive",
    response_class=Response,
    responses=FILE_RESPONSES | _IN_STORE,
    openapi_extra=_ASKED,
)
@router.head(
    "/{area}/{path:any}",
    operation_id="head_file",
    summary="The answer to a GET, without the bytes",
    response_class=Response,
    responses=FILE_RESPONSES | _IN_STORE,
    openapi_extra=_ASKED,
)
async def show_file(
    *,
    request: Request,
    downloads: CurrentDownloads,
    caller: CurrentCaller,
    area: AreaAsked,
    path: PathAsked,  # noqa: ARG001 - its bytes are read from the address: they need not be UTF-8
    username: WhoseAsked = None,
    archive: ArchiveAsked = Archive.TAR,
) -> Response:
    """Send a file as it is; parts, conditions and checksums follow RFC 9110 and RFC 9530.

    An area may be an object store, which sends an object itself.
    """
    wanted = await wanted_by(caller, area, path_in(request), username=username, archive=archive)
    with not_found():
        if area in downloads.settings.presigned_stores:
            return await redirect(downloads, request, wanted)
        return await respond(downloads, request, wanted)


async def wanted_by(caller: Caller, area: str, path: str, *, username: str | None, archive: Archive) -> WantedDownload:
    """Return what a caller wants to download, after checking that they may.

    Raises
    ------
    NotAllowed
        Downloads, the path or the user are not the caller's.
    """
    caller.check_method(DIRECT_DOWNLOAD)
    await check_sources(caller, area, [path])
    username = caller.username if username is None else caller.user(username)
    structlog.contextvars.bind_contextvars(area=area, source=path, username=username)
    is_bounded = caller.is_bounded(area)
    return WantedDownload(area=area, path=path, username=username, archive=archive, is_bounded=is_bounded)


@contextmanager
def not_found() -> Iterator[None]:
    """Answer 404 where nothing is at a path, or there is no such area."""
    try:
        yield
    except (SourceNotFound, UnknownArea) as error:
        # In the demo's own call both are a 400.
        raise HTTPException(HTTPStatus.NOT_FOUND, error.message) from None


def path_in(request: Request) -> str:
    """Return the path after the area's name, byte by byte as it was sent."""
    raw: bytes = request.scope["raw_path"]
    return os.fsdecode(unquote_to_bytes(raw.partition(b"/files/")[2].partition(b"/")[2]))
