"""Limits of a call's size and pace, and of whose pages may make it, checked before anything of it is kept."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stager.errors import AmbiguousHost, BodyTooLarge, BodyTooSlow, HeadersTooLarge, StagingError, TargetTooLong
from stager.http.foreign_pages import TrustedSites
from stager.http.problems import staging_problem
from stager.settings import Settings

# Bytes of path and query; RFC 9110, section 4.1 asks for at least 8,000.
MAX_TARGET_BYTES = 16 * 1024
# Bytes of all header fields, names and values.
MAX_HEADER_BYTES = 32 * 1024
# Values that a body may have for each of its items: texts, numbers, lists, objects. Ours have 5; those of a Tape REST
# client, with metadata for this site and for another, 14.
VALUES_OF_ITEM = 16
# Calls whose body is read piece by piece and never kept whole.
STREAMED = ("/requests/from-manifest",)


def most_values(settings: Settings) -> int:
    """Return how many values a body may have that is parsed whole: they cost more memory than its bytes."""
    return VALUES_OF_ITEM * settings.max_items_in_body + 2000


class CallLimits:
    """ASGI middleware that refuses calls that are too large or too slow, and those of other sites' pages."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._pages = TrustedSites(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, if it is within the limits."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        limit = self._body_limit(request)
        body = MeasuredBody(receive, limit=limit, pause=self._settings.max_pause)

        async def answer(message: Message) -> None:
            """Close the connection if the body was not read: the client must not use it for another call."""
            if message["type"] == "http.response.start" and _has_body(request) and not body.is_whole:
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        if error := _refusal(request, limit) or self._pages.refusal(request):
            await staging_problem(request, type(error), error.message)(scope, receive, answer)
            return
        await self._app(scope, body, answer)

    def _body_limit(self, request: Request) -> int:
        is_streamed = request.scope["path"] in STREAMED
        return self._settings.max_manifest_bytes if is_streamed else self._settings.max_body_bytes


@dataclass
class MeasuredBody:
    """A body that is being received; reading it raises an error when it is too large or too slow."""

    receive: Receive
    limit: int
    pause: float
    size: int = 0
    is_whole: bool = False

    async def __call__(self) -> Message:
        """Return the next piece; after the last, wait until the client disconnects."""
        if self.is_whole:
            return await self.receive()
        try:
            async with asyncio.timeout(self.pause):
                message = await self.receive()
        except TimeoutError:
            raise BodyTooSlow(self.pause) from None
        self.size += len(message.get("body", b""))
        if self.size > self.limit:
            raise BodyTooLarge(self.limit)
        self.is_whole = not message.get("more_body", False)
        return message


def _has_body(request: Request) -> bool:
    """Return whether an HTTP/1 request has a body (RFC 9112, section 6)."""
    is_named = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
    return is_named and request.scope["http_version"].startswith("1")


def _refusal(request: Request, limit: int) -> StagingError | None:
    """Return why a request is refused for its head, or None."""
    scope = request.scope
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_TARGET_BYTES:
        return TargetTooLong(MAX_TARGET_BYTES)
    if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADER_BYTES:
        return HeadersTooLarge(MAX_HEADER_BYTES)
    if error := _host_refusal(request):
        return error
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > limit:
        return BodyTooLarge(limit)
    return None


def _host_refusal(request: Request) -> AmbiguousHost | None:
    """Return why a call is refused for its Host header, or None (RFC 9112, section 3.2).

    Where none is named, granian gives an empty one; of HTTP/2, the limits know nothing.
    """
    hosts = request.headers.getlist("host")
    is_named = all(hosts) or request.scope["http_version"] != "1.1"
    return None if len(hosts) <= 1 and is_named else AmbiguousHost(len(hosts) if all(hosts) else 0)
