"""How much one user may have open at a time."""

from __future__ import annotations

from stager.errors import TooManyRequests
from stager.records import has_open_requests
from stager.service.door import Door


async def check_open_requests(door: Door, username: str) -> None:
    """Return when a user may make one more request; those that come at the same moment may exceed it together.

    Raises
    ------
    TooManyRequests
        As many of theirs are open as the site allows.
    """
    limit = door.settings.max_open_requests
    if await door.ask(has_open_requests, username, count=limit):
        raise TooManyRequests(username, limit)
