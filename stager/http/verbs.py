"""The verbs of an address: HEAD wherever it has GET (RFC 9110, section 9.1)."""

from __future__ import annotations

from fastapi.routing import iter_route_contexts
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send


def verbs_of(scope: Scope) -> set[str]:
    """Return the verbs of an address, those of all its routes; none where nothing is there."""
    whole = {**scope, "root_path": scope.get("app_root_path", scope.get("root_path", ""))}  # of what is mounted, too
    routes = [route for route in iter_route_contexts(scope["app"].routes) if route.matches(whole)[0] is not Match.NONE]
    return {verb for route in routes for verb in route.methods or ("GET",)}


class _HeadSentError(Exception):
    """Raised once the answer to a HEAD was sent, so that its body is not produced."""


class HeadOfGet:
    """ASGI middleware that answers a HEAD without a route of its own like a GET, without the body.

    What the call would change by sending a body is a route's own to tell apart (downloads).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD" or verbs_of(scope) & {"GET", "HEAD"} != {"GET"}:
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            await send(message)
            await send({"type": "http.response.body"})
            raise _HeadSentError  # a stream would go on for good

        scope["method"] = "GET"
        try:
            await self._app(scope, receive, send_head)
        except _HeadSentError:
            pass
        finally:
            scope["method"] = "HEAD"
