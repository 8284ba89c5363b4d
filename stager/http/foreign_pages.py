"""Calls from pages of other web sites: a browser sends them too, and they may change nothing.

Notes
-----
A browser says it by Fetch Metadata's Sec-Fetch-Site or, to a plain address, by
Origin alone (RFC 6454); a program says neither. A name that belongs to somebody
else may lead here as well (DNS rebinding), so that a page of it would be ours
by its Host: that counts only for what nobody outside can name.
"""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from urllib.parse import urlsplit

from starlette.requests import Request

from stager.errors import ForeignPage
from stager.settings import Settings

# Methods that change nothing (RFC 9110, section 9.2.1).
SAFE = ("GET", "HEAD", "OPTIONS")
# The report of an nginx that sent a file has the headers of the client's call.
BY_NGINX = "/internal/"


class TrustedSites:
    """The web sites whose pages may do what the caller may."""

    def __init__(self, settings: Settings) -> None:
        ours = urlsplit(settings.public_url)
        self._origins = {f"{ours.scheme}://{ours.netloc}".lower(), *settings.cors_origins}

    def refusal(self, request: Request) -> ForeignPage | None:
        """Return why a call is refused for the page that it comes from, or None."""
        origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
        if request.method in SAFE or request.scope["path"].startswith(BY_NGINX):
            return None
        if not self._origins.isdisjoint({origin, "*"}):
            return None
        if site:
            is_ours = site in ("same-origin", "none")
        else:
            is_ours = origin is None or _is_of_host(origin, request.headers.get("host", ""))
        return None if is_ours else ForeignPage(origin or site or "")


def _is_of_host(origin: str, host: str) -> bool:
    """Return whether an origin is the host of the call, by an IP address or a name without dots."""
    if origin.partition("://")[2] != host:
        return False
    name = host.rpartition(":")[0] or host
    with suppress(ValueError):
        return bool(ipaddress.ip_address(name.strip("[]")))
    return "." not in name
