"""Large files by an nginx in front: it is told which, and tells how it went (deployments/nginx/nginx.conf)."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote_from_bytes

from starlette.datastructures import Headers
from starlette.responses import Response

from stager.paths import Descriptor, open_area
from stager.service.downloads.answer import headers_of
from stager.service.downloads.representation import FileRepresentation, Representation
from stager.service.downloads.sending import Sending

# What nginx would judge by a tag that it does not have.
_NOT_ITS = ("if-match", "if-unmodified-since")


def path_for_nginx(whole: Representation, headers: Headers) -> Path | None:
    """Return the path by which an nginx in front can send this, or None where it cannot.

    It can send a large file, asked for as nginx understands, and still in its
    area. The path is the open file's own, by the kernel's word, without symbolic links: nginx follows
    none beneath the area's root, and answers 403 where one was put meanwhile.
    """
    if not isinstance(whole, FileRepresentation) or whole.content is not None:
        return None
    source = whole.source
    if not os.fstat(source.descriptor.fd).st_nlink or any(name in headers for name in _NOT_ITS):
        return None
    root = source.location.root
    with open_area(root) as area:
        real_root, real = _path_of(area), _path_of(source.descriptor)
    return root / real.relative_to(real_root) if real.is_relative_to(real_root) else None


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
        "X-Stager-Root": os.fspath(source.location.root),
        "X-Stager-Download": sending.begun.id,
    }
    return Response(headers=headers)


def _path_of(descriptor: Descriptor) -> Path:
    return Path(f"/proc/self/fd/{descriptor.fd}").readlink()
