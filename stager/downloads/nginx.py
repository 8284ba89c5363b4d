"""Large files sent by an nginx in front, which then reports how it went (deployments/nginx/nginx.conf)."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote_from_bytes

from starlette.requests import Request
from starlette.responses import Response

from stager.callers.area_reading import NOBODY
from stager.downloads.answer import headers_of
from stager.downloads.representation import FileRepresentation, Representation
from stager.downloads.sending import Sending
from stager.paths import Descriptor, Location, Symlinks, open_area, open_location
from stager.privileges import reading_as

# A secret in a query: nginx writes addresses into its error log, and its shipped configuration omits queries only.
_SECRET = b"token"
# Conditions that nginx would judge wrongly, since it does not know the entity tag.
_NOT_ITS = ("if-match", "if-unmodified-since")


def path_for_nginx(whole: Representation, request: Request) -> Path | None:
    """Return the path by which an nginx in front can send a file, or None where it cannot; call it in a thread.

    It can send a large file, asked for as nginx understands, that is still beneath its root. Of what root's
    service opens, nginx is left only what everybody may read, whatever account it has.

    The path is the open file's own, by the kernel's word, without symbolic links: nginx follows
    none beneath the area's root, and answers 403 where one was put meanwhile.
    """
    if not isinstance(whole, FileRepresentation) or whole.content is not None:
        return None
    source = whole.source
    if not os.fstat(source.descriptor.fd).st_nlink or any(name in request.headers for name in _NOT_ITS):
        return None
    if _SECRET in request.scope["query_string"].lower():
        return None
    area = source.access.area.path
    inside = source.location.root.relative_to(area)
    with open_area(area) as opened:
        real_area, real = _path_of(opened), _path_of(source.descriptor)
    if not real.is_relative_to(real_area / inside):
        return None
    beneath = real.relative_to(real_area)
    return area / beneath if os.geteuid() != 0 or _is_everybodys(area, beneath) else None


def _is_everybodys(area: Path, beneath: Path) -> bool:
    """Tell whether everybody, an account without any rights of its own too, may open a file of an area."""
    place = Location(area, tuple(map(os.fsencode, beneath.parts)))
    try:
        with reading_as(NOBODY), open_location(place, os.O_RDONLY | os.O_NONBLOCK, Symlinks.REFUSED):
            return True
    except OSError:
        return False


def sent_by_nginx(sending: Sending, path: Path, *, prefix: str) -> Response:
    """Return the answer that lets nginx send a file or its parts."""
    source = sending.whole.source
    source.descriptor.close()
    headers = headers_of(sending.whole, sending.body)
    for name in ("Accept-Ranges", "Content-Range"):  # nginx says so itself
        headers.pop(name, None)
    headers |= {
        "Content-Type": sending.whole.media_type,
        "Content-Length": "0",
        "X-Accel-Redirect": prefix + quote_from_bytes(os.fsencode(path)),
        "X-Stager-Root": os.fspath(source.access.area.path),
        "X-Stager-Download": sending.begun.id,
    }
    return Response(headers=headers)


def _path_of(descriptor: Descriptor) -> Path:
    return Path(f"/proc/self/fd/{descriptor.fd}").readlink()
