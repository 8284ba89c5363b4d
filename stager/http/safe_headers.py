"""Security headers of every answer."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Headers of an answer unless its handler sets others. It is not a page: nothing
# in it is run, framed or guessed at (OWASP REST Security Cheat Sheet).
ALWAYS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# Headers of an answer for one caller: no proxy and no browser caches it (RFC 9111, section 5.2.2).
FOR_CALLER = {"Cache-Control": "private, no-store"}
# Headers where the service is reached over TLS (RFC 6797).
OVER_TLS = {"Strict-Transport-Security": "max-age=31536000"}


class SafeHeaders:
    """ASGI middleware that adds the headers that an answer lacks."""

    def __init__(self, app: ASGIApp, *, is_over_tls: bool) -> None:
        self._app = app
        self._headers = {**ALWAYS, **(OVER_TLS if is_over_tls else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                is_for_caller = scope.get("state", {}).get("is_for_caller", False)
                for name, value in {**self._headers, **(FOR_CALLER if is_for_caller else {})}.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_safely)
