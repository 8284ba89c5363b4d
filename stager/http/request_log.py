"""The log of calls: every call has an id, one line in the log, and an answer."""

from __future__ import annotations

import re
import time
import uuid

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stager.http.call_metrics import count_call
from stager.http.problems import unforeseen_problem

HEADER = "X-Request-ID"
_SANE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
# Calls that probes and readers of the log make every few seconds, or clients many times a
# second, for downloads (which are all recorded) or pages: at INFO, they would
# drown all other lines.
_QUIET = ("/health", "/logs", "/metrics", "/files", "/links", "/manual")

logger = structlog.get_logger(__name__)


class RequestLog:
    """ASGI middleware that gives each call an id, a log line, and an answer to unforeseen errors."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = Headers(scope=scope).get(HEADER, "")
        request_id = sent if _SANE.fullmatch(sent) else uuid.uuid4().hex
        scope.setdefault("state", {})["http_request_id"] = request_id
        structlog.contextvars.clear_contextvars()  # whatever the connection's last request left
        structlog.contextvars.bind_contextvars(http_request_id=request_id)
        await self._serve(Request(scope, receive), send)

    async def _serve(self, request: Request, send: Send) -> None:
        began = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = request.state.http_request_id
            await send(message)

        try:
            await self._app(request.scope, request.receive, send_with_id)
        except Exception:  # the last place where anybody can answer
            logger.exception("Unforeseen error", http_method=request.method, path=request.url.path)
            if status:  # too late for another answer: a broken one must be seen as broken
                raise
            await unforeseen_problem(request)(request.scope, request.receive, send_with_id)
        finally:
            seconds = time.perf_counter() - began
            count_call(request.scope, status=status, seconds=seconds)
            _log(request, status, seconds)


def _log(request: Request, status: int, seconds: float) -> None:
    """Log the call, without its query, where old clients put a token."""
    is_quiet = request.scope["path"].startswith(_QUIET) and status < 400  # noqa: PLR2004 - HTTP's first error status
    write = logger.debug if is_quiet else logger.info
    write(
        "Request served",
        http_method=request.method,
        path=request.scope["path"],
        http_status=int(status),
        seconds=round(seconds, 4),
        client=request.client.host if request.client else None,
    )
