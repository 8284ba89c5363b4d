"""Headers that tell a browser to trust nothing that it need not."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# What an answer says unless its handler says otherwise. It is no page: nothing
# in it is run, framed or guessed at (OWASP REST Security Cheat Sheet).
ALWAYS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# What an answer for one caller says: no proxy and no browser keeps it (RFC 9111, section 5.2.2).
FOR_CALLER = {"Cache-Control": "private, no-store"}
# RFC 6797: only where the service is reached over TLS.
OVER_TLS = {"Strict-Transport-Security": "max-age=31536000"}


class SafeHeaders:
    """ASGI middleware: adds the headers that are not there."""

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
