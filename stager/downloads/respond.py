"""The answer to a download: the path is opened, looked at, recorded and sent."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from stager.callers.area_reading import access_to
from stager.callers.open_source import OpenSource, open_source
from stager.callers.quota import check_open_requests
from stager.downloads.answer import SENT, headers_of, negotiate
from stager.downloads.archive import ArchiveRepresentation
from stager.downloads.nginx import path_for_nginx, sent_by_nginx
from stager.downloads.pieces import SummedPieces
from stager.downloads.representation import FileRepresentation, Representation
from stager.downloads.sending import Download, Sending
from stager.downloads.shared import ANONYMOUS, Downloads
from stager.downloads.tar import MEDIA_TYPE as TAR
from stager.downloads.tar import Tar
from stager.downloads.zipped import MEDIA_TYPE as ZIP
from stager.downloads.zipped import Zip
from stager.errors import InvalidMethod, StagingError
from stager.http.offered_methods import offered_methods
from stager.records.database import new_id
from stager.records.downloads import DIRECT_DOWNLOAD, DownloadBegun, DownloadEnded


class Archive(StrEnum):
    """The archive format in which a directory is sent."""

    TAR = "tar"
    ZIP = "zip"


@dataclass(frozen=True, kw_only=True)
class WantedDownload:
    """What a caller wants to download: a path of an area, and how."""

    area: str
    path: str
    username: str | None = None
    archive: Archive = Archive.TAR
    destination: str = ""
    # Whether the caller may read only a part of the area: then no symbolic link is followed.
    is_bounded: bool = False

    def begun(self, acting_as: str) -> DownloadBegun:
        """Return what is recorded when the download begins."""
        return DownloadBegun(
            id=new_id(),
            username=self.username or ANONYMOUS,
            area=self.area,
            path=self.path,
            destination=self.destination or self.path,
            acting_as=acting_as,
        )


async def respond(downloads: Downloads, request: Request, wanted: WantedDownload) -> Response:
    """Return the answer to a GET or HEAD of a file or a directory.

    Only bytes make a record: neither a HEAD nor what is refused or not modified does.

    Raises
    ------
    TooManyRequests
        It takes a while, and as many of the user's requests are open as the site allows.
    StagingError
        It cannot be sent.
    """
    whole = await look_at(downloads, wanted)
    body = negotiate(whole, request.method, request.headers)
    if request.method == "HEAD" or body.status not in SENT:
        whole.source.descriptor.close()
        return Response(status_code=body.status, headers=headers_of(whole, body))
    sending = Sending(downloads, wanted.begun(whole.source.access.acting_as), whole, body)
    if whole.content is not None:
        return Download(sending)
    settings = downloads.settings
    await check_open_requests(downloads.records, sending.begun.username, limit=settings.max_open_requests)
    prefix = settings.nginx_files
    if prefix and (path := await downloads.threads.do(wanted.username, path_for_nginx, whole, request)):
        await downloads.recorder.begin(sending.begun)
        downloads.recorder.leave(sending.ended(None))
        return sent_by_nginx(sending, path, prefix=prefix)
    await downloads.recorder.begin(sending.begun, sending)
    return Download(sending)


async def record_and_respond(downloads: Downloads, wanted: WantedDownload) -> Response:
    """Return the answer to the demo's POST: the whole file, and a record also of what is refused.

    Raises
    ------
    StagingError
        It cannot be sent; the record says why.
    """
    try:
        whole = await look_at(downloads, wanted)
    except StagingError as error:
        begun = wanted.begun("nobody: the download was refused")
        await downloads.recorder.write(begun, DownloadEnded(id=begun.id, bytes_sent=0, error=error))
        raise
    begun, body = wanted.begun(whole.source.access.acting_as), negotiate(whole, "POST", Headers())
    is_summed = isinstance(whole, FileRepresentation) and whole.checksum is None
    sending = Sending(downloads, begun, whole, body, SummedPieces(body.pieces) if is_summed else None)
    if whole.content is None:
        await downloads.recorder.begin(begun, sending)
    return Download(sending)


async def look_at(downloads: Downloads, wanted: WantedDownload) -> Representation:
    """Return the representation of what the caller wants.

    Raises
    ------
    StagingError
        Nothing is there, or nothing that this caller may have.
    """
    if DIRECT_DOWNLOAD not in offered_methods(downloads.settings):
        raise InvalidMethod(DIRECT_DOWNLOAD)
    found = await downloads.threads.do(wanted.username, _look, downloads, wanted)
    return await downloads.with_checksum(found) if isinstance(found, FileRepresentation) else found


def _look(downloads: Downloads, wanted: WantedDownload) -> Representation:
    access = access_to(wanted.area, wanted.username, settings=downloads.settings, is_bounded=wanted.is_bounded)
    with access.entered() as root:
        source = open_source(access, root, wanted.path)
        try:
            return _representation(downloads, source, wanted.archive)
        except BaseException:
            source.descriptor.close()
            raise


def _representation(downloads: Downloads, source: OpenSource, archive: Archive) -> Representation:
    if not source.is_directory:
        return downloads.small(source)
    make, media_type = (Tar, TAR) if archive is Archive.TAR else (Zip, ZIP)
    of = partial(ArchiveRepresentation, source, make, media_type=media_type)
    return of(ending=f".{archive}".encode()).surveyed()
