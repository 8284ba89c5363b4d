"""The answer to a request for a file: its status, its headers, and which bytes it has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

from starlette.datastructures import Headers

from stager.downloads.conditions import Validators, Verdict, judge, may_continue
from stager.downloads.header_values import content_disposition, repr_digest
from stager.downloads.pieces import Piece
from stager.downloads.ranges import spans_of
from stager.downloads.representation import Parts, Representation

SENT = (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT)


@dataclass(frozen=True)
class Body:
    """The body of an answer: the file's state that it is of, its status, length, type and bytes."""

    validators: Validators
    status: HTTPStatus
    size_bytes: int
    media_type: str
    pieces: Iterator[Piece]
    content_range: str | None = None


def negotiate(whole: Representation, method: str, headers: Headers) -> Body:
    """Return the body that answers a request, by its conditions and its ranges."""
    validators = whole.validators.as_named_in(headers)
    body = partial(Body, validators)
    verdict = judge(headers, validators)
    if verdict is not Verdict.SEND:
        return body(HTTPStatus(verdict.value), 0, whole.media_type, iter(()))
    wants_part = method == "GET" and may_continue(headers.get("if-range"), validators)
    spans = spans_of(headers.get("range"), whole.size_bytes) if wants_part else None
    if spans is None:
        return body(HTTPStatus.OK, whole.size_bytes, whole.media_type, whole.pieces(0, whole.size_bytes))
    if not spans:
        unsatisfied = f"bytes */{whole.size_bytes}"
        return body(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, 0, whole.media_type, iter(()), unsatisfied)
    if len(spans) == 1:
        said, pieces = spans[0].content_range(whole.size_bytes), whole.pieces(*spans[0])
        return body(HTTPStatus.PARTIAL_CONTENT, spans[0].size_bytes, whole.media_type, pieces, said)
    parts = Parts(whole, spans)
    return body(HTTPStatus.PARTIAL_CONTENT, parts.size_bytes, parts.media_type, parts.pieces())


def headers_of(whole: Representation, body: Body) -> dict[str, str]:
    """Return an answer's headers."""
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "ETag": body.validators.etag,
        "Last-Modified": body.validators.last_modified,
    }
    if body.status is HTTPStatus.NOT_MODIFIED:
        return headers
    headers |= {"Content-Length": str(body.size_bytes), "X-Content-Type-Options": "nosniff"}
    if body.content_range:
        headers["Content-Range"] = body.content_range
    if body.status in SENT:
        headers |= {"Content-Type": body.media_type, "Content-Disposition": content_disposition(whole.filename)}
    if whole.checksum:
        headers["Repr-Digest"] = repr_digest(whole.checksum)
    return headers
