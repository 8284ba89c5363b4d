"""Whose page asks: a browser sends the calls of any page, and one of another web site may change nothing here.

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

# RFC 9110, section 9.2.1.
SAFE = ("GET", "HEAD", "OPTIONS")
# An nginx that has sent a file says so with the headers of whoever asked for it.
BY_NGINX = "/internal/"


class TrustedSites:
    """Knows the web sites whose pages may do what the caller may."""

    def __init__(self, settings: Settings) -> None:
        ours = urlsplit(settings.public_url)
        self._origins = {f"{ours.scheme}://{ours.netloc}".lower(), *settings.cors_origins}

    def refusal(self, request: Request) -> ForeignPage | None:
        """Return why a call is refused by whose page asks, or None."""
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
    """Return whether an origin is the host that was asked, by an address or a name without dots."""
    if origin.partition("://")[2] != host:
        return False
    name = host.rpartition(":")[0] or host
    with suppress(ValueError):
        return bool(ipaddress.ip_address(name.strip("[]")))
    return "." not in name
