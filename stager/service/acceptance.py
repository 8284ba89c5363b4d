"""How a request is taken in, whichever door it comes to: looked at, then written down."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence

import structlog

from stager.errors import InvalidMethod
from stager.identity import resolve
from stager.methods import METHODS
from stager.models import StagingRequest, StagingTerms
from stager.records import ClientWish, StagingRequestRow, create_request, draft_of
from stager.service.areas import check_direction
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
    source_area: str,
    destination_area: str | None,
    more: frozenset[str] = frozenset(),
) -> None:
    """Return when the caller may ask for that.

    Parameters
    ----------
    source_area, destination_area
        Storage areas that it is staged from and to; None for a download.
    more
        Methods that are no flows, and that this door serves itself.

    Raises
    ------
    InvalidMethod
        The method does not exist, or the operator does not allow it.
    NotAllowed
        The method, an area or the user is not the caller's.
    AreaNotWritable
        Nothing is staged to that area.
    InvalidUserName, UserDoesNotExist, SystemAccount
        Nobody here has that name, or no user.
    """
    structlog.contextvars.bind_contextvars(method=method, username=username)  # on every line of this call
    if method not in METHODS.keys() | more or method not in door.settings.allowed_methods:
        raise InvalidMethod(method)
    caller.user(username)
    caller.check_method(method)
    await check_direction(caller, source_area, "read")
    if destination_area is not None:
        await check_direction(caller, destination_area, "write")
    await _check_user(door, username)


async def check_terms(door: Door, caller: Caller, terms: StagingTerms | StagingRequestRow) -> None:
    """Return when the caller may ask for a staging by such terms; else raise as `check` does."""
    await check(
        door,
        caller,
        method=terms.method,
        username=terms.username,
        source_area=terms.source_area,
        destination_area=terms.destination_area,
    )


async def _check_user(door: Door, username: str) -> None:
    """Return when there is such a user; one who was there a moment ago still is: the run looks again."""
    if time.monotonic() - door.users.get(username, -math.inf) < USER_LASTS:
        return
    settings = door.settings
    await asyncio.to_thread(resolve, username, users_file=settings.users_file, least_id=settings.least_user_id)
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
