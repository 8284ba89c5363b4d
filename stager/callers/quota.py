"""The quota of open requests that one user may have."""

from __future__ import annotations

from stager.errors import TooManyRequests
from stager.records.database import AsyncDatabase
from stager.records.requests import has_open_requests, request_of_key


async def check_open_requests(
    records: AsyncDatabase, username: str, *, limit: int, idempotency_key: str | None = None
) -> None:
    """Check that a user may make one more request; requests of the same moment may exceed the limit together.

    A call of a key that is known makes no request: it gets the first one's answer.

    Parameters
    ----------
    limit
        As many of theirs may be open.

    Raises
    ------
    TooManyRequests
        As many of theirs are open.
    """
    if not await records.ask(has_open_requests, username, count=limit):
        return
    if idempotency_key is None or await records.ask(request_of_key, username, idempotency_key) is None:
        raise TooManyRequests(username, limit)
