"""Downloads from object stores: the caller is sent to an address of the store's, which holds for minutes."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from stager.downloads.respond import WantedDownload
from stager.downloads.shared import Downloads
from stager.errors import InvalidMethod, InvalidPath, InvalidUserName, KeyNotTaken, SourceNotFound
from stager.http.offered_methods import offered_methods
from stager.identity import resolve
from stager.methods.bucket_path import BucketPath, bucket_path
from stager.peers.connections import given_up_after
from stager.records.downloads import DIRECT_DOWNLOAD, DownloadEnded

if TYPE_CHECKING:
    from stager.methods.store_area import StoreArea
    from stager.settings import Settings

# How long an address holds: a download that has begun by then goes on.
ADDRESS_SECONDS = 300
# How long the store may take to say what it has.
LOOK_SECONDS = 10.0
ACTING_AS = "the object store, by an address that was given for it"


async def redirect(downloads: Downloads, request: Request, wanted: WantedDownload) -> Response:
    """Return the answer to a GET or HEAD of an object: where the store itself answers that, for some minutes.

    A GET is on record; how much the store sends then is not.

    Raises
    ------
    InvalidMethod, InvalidUserName, UserDoesNotExist, SystemAccount
        Downloads are not offered, or nobody, or no user, is named whose object it is.
    InvalidPath, PathOutsideArea
        The path says nothing, names more than one object, or leads out of what is the user's.
    SourceNotFound
        Nothing is there.
    StagingError
        The store, or Prefect, which knows how it is reached, does not answer.
    """
    if DIRECT_DOWNLOAD not in offered_methods(downloads.settings):
        raise InvalidMethod(DIRECT_DOWNLOAD)
    address, size_bytes = await downloads.store_threads.do(
        wanted.username, _address, downloads.settings, request.method, wanted
    )
    if request.method == "GET":
        begun = wanted.begun(ACTING_AS)
        ended = DownloadEnded(id=begun.id, bytes_sent=0, size_bytes=size_bytes, file_count=1)
        await downloads.recorder.write(begun, ended)
    return RedirectResponse(address, HTTPStatus.TEMPORARY_REDIRECT, {"Cache-Control": "no-store"})


def _address(settings: Settings, method: str, wanted: WantedDownload) -> tuple[str, int]:
    """Return where an object can be read, and its size."""
    if wanted.username is None:
        raise InvalidUserName("")
    identity = resolve(wanted.username, users_file=settings.users_file, least_id=settings.least_user_id)
    own = _store(wanted.area).of_user(identity.username)
    place = _place(own, wanted)
    with given_up_after(LOOK_SECONDS, own.title), own.opened() as bucket:
        found = bucket.look(place.object_key)
        if found is None:
            if any(bucket.list(place.inside, limit=1)):
                reason = "it is a directory, and of a bucket only single objects are sent"
                raise InvalidPath(place.display, reason)
            raise SourceNotFound(place.display)
        name = place.names[-1]
        return bucket.presigned(found.key, method, seconds=ADDRESS_SECONDS, filename=name), found.size_bytes


def _place(own: StoreArea, wanted: WantedDownload) -> BucketPath:
    try:
        place = bucket_path(wanted.path, endpoint=own.endpoint, bucket=own.bucket, prefix=own.prefix, area=wanted.area)
    except KeyNotTaken as error:  # no store has such an object, or it is one of our own
        nothing = f"s3://{wanted.area}/{wanted.path}"
        raise SourceNotFound(nothing) from error
    if not place.names:
        raise InvalidPath(wanted.path, "it names no object")
    return place


def _store(name: str) -> StoreArea:
    """Return the object store of that name, which is silent for as long as a caller can wait and no longer."""
    from blocks.object_store import resolve_store  # noqa: PLC0415 - Prefect's package takes 2 s to import

    return resolve_store(name).model_copy(update={"stall_seconds": LOOK_SECONDS})
