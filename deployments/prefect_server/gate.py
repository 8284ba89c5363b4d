"""The gate before Prefect: it passes calls that name the server's own host, and come from no other web site.

A page that a browser shows may send requests anywhere, also to the loopback
of the machine that it runs on. It cannot choose two headers: ``Origin`` says
which site the page is of, and ``Host`` by which name it reached us, also where
that name was made to lead here after the page was loaded (DNS rebinding).
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
# Paths that probes call by the server's address: a kubelet, or Prometheus, which needs the password.
PROBES = frozenset({"/api/health", "/api/ready", "/api/metrics"})

# Prefect's pages must call no other host: the newer ones would, for telemetry, even with analytics off. And no
# other site may show them in its own pages, and make a person click there.
POLICY = "connect-src 'self'; frame-ancestors 'self'"


class Gate:
    """ASGI middleware that passes calls that name one of the server's hosts and come from no other site.

    Parameters
    ----------
    hosts
        Names and addresses of the server beside those of the loopback, without a port.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self._app = app
        self._hosts = LOOPBACK | {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a call on, or refuse it: 400 without one host, 403 by another's name or from another site."""

        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Content-Security-Policy"] = POLICY
            await send(message)

        app = self._app
        if scope["type"] in {"http", "websocket"} and (refused := self._refused(scope)):
            status, reason = refused
            app = PlainTextResponse(f"{reason}\n", status) if scope["type"] == "http" else WebSocketClose()
        await app(scope, receive, send_with_policy)

    def _refused(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        match headers.getlist("host"):
            case [host] if _is_probe(scope) or _hostname(host) in self._hosts:
                own = [origin.lower().partition("://")[2] == host.lower() for origin in headers.getlist("origin")]
                return None if all(own) else (403, "Prefect refuses calls from pages of other web sites")
            case [_]:
                return 403, "Prefect does not answer to this host name: STAGER_PREFECT_HOSTS has those to which it does"
            case _:
                return 400, "A call must name exactly one host"


def _is_probe(scope: Scope) -> bool:
    return scope["type"] == "http" and scope["method"] == "GET" and scope["path"] in PROBES


def _hostname(authority: str) -> str | None:
    """Return the host of an authority without its port, in lower case; None where it is none."""
    try:
        return urlsplit(f"//{authority}").hostname
    except ValueError:
        return None
