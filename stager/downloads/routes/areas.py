"""Routes that list storage areas and the folders in them."""

from __future__ import annotations

import asyncio
import os
from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import parse_qsl

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request

from stager.callers.area_checks import check_sources, known_areas
from stager.callers.area_reading import access_to
from stager.callers.caller import Caller
from stager.callers.current import CurrentCaller
from stager.downloads import CurrentDownloads, Downloads
from stager.downloads.listing import Listing, list_folder
from stager.downloads.routes.files import AreaAsked, not_found
from stager.http.examples import BEGAN
from stager.http.problems import documented
from stager.http.record_views import View
from stager.models import PathText, StorageArea

router = APIRouter(prefix="/areas", tags=["downloads"])

MAX_PAGE = 1000


class AreaView(View):
    """A storage area that the caller may use."""

    name: str = Field(examples=["source"])
    per_user: bool = Field(description="Each user has a folder of their own in it.")
    read_as: Literal["user", "service"] = Field(
        description="Whose rights it is read with: with the service's, permission bits in it do not count."
    )
    is_source: bool = Field(description="The caller may stage and download from it, and list it.")
    read_prefixes: tuple[PathText, ...] = Field(
        description="If not empty, only what is at these paths or beneath them can be staged, downloaded and listed."
    )
    is_destination: bool = Field(description="The caller may stage to it.")


class Areas(View):
    """The storage areas that the caller may use."""

    areas: tuple[AreaView, ...]


class EntryView(View):
    """A file, directory or link in a folder. A symbolic link is not followed."""

    name: PathText = Field(
        description="Its name; bytes that are not UTF-8 are escaped lone surrogates.", examples=["a.fits"]
    )
    kind: Literal["file", "directory", "symlink", "FIFO", "socket", "character device", "block device"]
    size_bytes: int = Field(examples=[2880])
    modified_at: datetime = Field(examples=[BEGAN])


class EntryPage(View):
    """Some of a folder's entries, sorted by the bytes of their names."""

    entries: tuple[EntryView, ...]
    next_cursor: str | None = Field(description="Cursor of the next page; null on the last.")


@router.get("", operation_id="list_areas", summary="The storage areas", responses=documented(401, 403))
async def show_areas(caller: CurrentCaller) -> Areas:
    """Return the areas that the caller may use."""
    views = [_view(area, caller) for area in await asyncio.to_thread(known_areas)]
    return Areas(areas=tuple(view for view in views if view.is_source or view.is_destination))


def _view(area: StorageArea, caller: Caller) -> AreaView:
    return AreaView(
        name=area.name,
        per_user=area.per_user,
        read_as=area.read_as,
        is_source=caller.may_use(area.name, "read"),
        read_prefixes=tuple(sorted(os.fsdecode(b"/".join(parts)) for parts in caller.prefixes(area.name) if parts)),
        is_destination=area.is_destination and caller.may_use(area.name, "write"),
    )


@router.get(
    "/{area}/entries",
    operation_id="list_entries",
    summary="What is in a folder, in pages",
    responses=documented(400, 401, 403, 404, 422, 503),
)
async def show_entries(
    *,
    request: Request,
    downloads: CurrentDownloads,
    caller: CurrentCaller,
    area: AreaAsked,
    path: Annotated[
        str, Query(description="Path of the folder; by default the area itself, or the user's folder.")
    ] = "",
    username: Annotated[str | None, Query(description="Whose folder, in a users' area.", examples=["alice"])] = None,
    cursor: Annotated[str | None, Query(description="The previous page's next_cursor.", examples=["YS5maXRz"])] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="How many entries at most.")] = 100,
) -> EntryPage:
    """Return a page of a folder's entries; a link is shown, not followed."""
    path = _path_in(request)
    await check_sources(caller, area, [path])
    username = caller.username if username is None else caller.user(username)
    with not_found():
        page = await downloads.threads.do(
            username,
            _list,
            downloads,
            area,
            path,
            username=username,
            is_bounded=caller.is_bounded(area),
            cursor=cursor,
            limit=limit,
        )
    entries = tuple(EntryView.model_validate(vars(entry)) for entry in page.entries)
    return EntryPage(entries=entries, next_cursor=page.next_cursor)


def _list(
    downloads: Downloads,
    name: str,
    path: str,
    *,
    username: str | None,
    is_bounded: bool,
    cursor: str | None,
    limit: int,
) -> Listing:
    access = access_to(name, username, settings=downloads.settings, is_bounded=is_bounded)
    with access.entered() as root:
        return list_folder(access, root, path, cursor=cursor, limit=limit)


def _path_in(request: Request) -> str:
    """Return the path in the query, byte by byte."""
    pairs = parse_qsl(os.fsdecode(request.scope["query_string"]), keep_blank_values=True, errors="surrogateescape")
    return dict(pairs).get("path", "")
