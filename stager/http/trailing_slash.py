"""Trailing slashes: the demo's clients write some addresses with one, and gfal2 up to 2.21 writes all so."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

# Beneath these it matters: it is part of a file's path, or of what a page's links are relative to.
KEPT = ("/docs/", "/files/", "/manual/")


class TrailingSlash:
    """ASGI middleware that makes an address with a trailing slash the same as without."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and not scope["path"].startswith(KEPT):
            scope["path"] = scope["path"].removesuffix("/") or "/"
        await self._app(scope, receive, send)
