"""How much one user may have open at a time."""

from __future__ import annotations

from stager.errors import TooManyRequests
from stager.http.door import Door
from stager.records import has_open_requests, request_of_key


async def check_open_requests(door: Door, username: str, *, idempotency_key: str | None = None) -> None:
    """Return when a user may make one more request; those that come at the same moment may exceed it together.

    A call of a key that is known makes no request: it gets the first one's answer.

    Raises
    ------
    TooManyRequests
        As many of theirs are open as the site allows.
    """
    limit = door.settings.max_open_requests
    if not await door.ask(has_open_requests, username, count=limit):
        return
    if idempotency_key is None or await door.ask(request_of_key, username, idempotency_key) is None:
        raise TooManyRequests(username, limit)
