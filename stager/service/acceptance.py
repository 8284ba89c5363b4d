"""How a request is taken in, whichever door it comes to: looked at, then written down."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Collection, Sequence

import structlog

from stager.errors import InvalidMethod
from stager.identity import resolve
from stager.methods import METHODS
from stager.models import StagingRequest
from stager.records import ClientWish, StagingRequestRow, create_request, draft_of
from stager.service.callers.caller import Caller
from stager.service.door import Door

# A request of more items is a transaction of its own: nobody waits for it.
FEW_ITEMS = 100
# How long a user who was found is not looked for again, in seconds.
USER_LASTS = 5.0

logger = structlog.get_logger(__name__)


async def check(
    door: Door,
    caller: Caller,
    *,
    method: str,
    username: str,
    areas: Collection[str],
    more: frozenset[str] = frozenset(),
) -> None:
    """Return when the caller may ask for that.

    Parameters
    ----------
    areas
        Storage areas that it is staged from and to.
    more
        Methods that are no flows, and that this door serves itself.

    Raises
    ------
    InvalidMethod
        The method does not exist, or the operator does not allow it.
    NotAllowed
        The method, an area or the user is not the caller's.
    InvalidUserName, UserDoesNotExist
        Nobody here has that name.
    """
    structlog.contextvars.bind_contextvars(method=method, username=username)  # on every line of this call
    if method not in METHODS.keys() | more or method not in door.settings.allowed_methods:
        raise InvalidMethod(method)
    caller.user(username)
    caller.check_method(method)
    for area in areas:
        caller.check_area(area)
    await _check_user(door, username)


async def _check_user(door: Door, username: str) -> None:
    """Return when there is such a user; one who was there a moment ago still is: the run looks again."""
    if time.monotonic() - door.users.get(username, -math.inf) < USER_LASTS:
        return
    await asyncio.to_thread(resolve, username, users_file=door.settings.users_file)
    door.users[username] = time.monotonic()


async def record(
    door: Door,
    request: StagingRequest,
    *,
    origin: str,
    idempotency_key: str | None = None,
    wishes: Sequence[ClientWish] = (),
) -> StagingRequestRow:
    """Write a request down before anybody is asked to do it, and return its record.

    Raises
    ------
    IdempotencyConflict
        The key came with another request before.
    TooManyRequests
        As many of the user's are open as the site allows.
    """
    if len(request.items) <= FEW_ITEMS:
        draft = draft_of(request, origin=origin, idempotency_key=idempotency_key, wishes=wishes)
        row = await door.submissions.ask(draft)
    else:
        row = await door.ask(
            create_request,
            request,
            origin=origin,
            idempotency_key=idempotency_key,
            wishes=wishes,
            most_open=door.settings.max_open_requests,
        )
    structlog.contextvars.bind_contextvars(staging_request=row.id)
    logger.info("Request recorded")
    door.recorded.set()
    return row
