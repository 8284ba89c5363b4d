"""How a request is taken in, whichever door it comes to: looked at, then written down."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterable, Sequence

import structlog

from stager.callers.areas import check_destination, check_sources
from stager.callers.caller import Caller
from stager.errors import InvalidMethod
from stager.http.door import Door
from stager.identity import resolve
from stager.methods import METHODS
from stager.models import StagingRequest, StagingTerms
from stager.records import ClientWish, StagingRequestRow, create_request, draft_of

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
    sources: Iterable[str],
    destination_area: str | None,
    more: frozenset[str] = frozenset(),
) -> None:
    """Return when the caller may ask for that.

    Parameters
    ----------
    source_area, destination_area
        Storage areas that it is staged from and to; None for a download.
    sources
        Paths in the source area; none where they come later, and are asked about then (`Arrival`).
    more
        Methods that are no flows, and that this door serves itself.

    Raises
    ------
    InvalidMethod
        The method does not exist, or the operator does not allow it.
    NotAllowed
        The method, an area, a source or the user is not the caller's.
    AreaNotWritable
        Nothing is staged to that area.
    InvalidUserName, UserDoesNotExist, SystemAccount
        Nobody here has that name, or no user.
    """
    structlog.contextvars.bind_contextvars(method=method, username=username)  # on every line of this call
    if method not in METHODS.keys() | more or method not in door.methods:
        raise InvalidMethod(method)
    caller.user(username)
    caller.check_method(method)
    await check_sources(caller, source_area, sources)
    if destination_area is not None:
        await check_destination(caller, destination_area)
    await _check_user(door, username)


async def check_terms(door: Door, caller: Caller, terms: StagingTerms | StagingRequestRow) -> None:
    """Return when the caller may ask for a staging by such terms; else raise as `check` does."""
    await check(
        door,
        caller,
        method=terms.method,
        username=terms.username,
        source_area=terms.source_area,
        sources=[item.source for item in terms.items] if isinstance(terms, StagingRequest) else (),
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
    caller: Caller,
    request: StagingRequest,
    *,
    origin: str,
    idempotency_key: str | None = None,
    wishes: Sequence[ClientWish] = (),
) -> StagingRequestRow:
    """Write down what a caller asks for before anybody is asked to do it, and return its record.

    Raises
    ------
    IdempotencyConflict
        The key came with another request before.
    TooManyRequests
        As many of the user's are open as the site allows.
    """
    is_bounded = caller.is_bounded(request.source_area)
    if len(request.items) <= FEW_ITEMS:
        draft = draft_of(request, origin=origin, idempotency_key=idempotency_key, wishes=wishes, is_bounded=is_bounded)
        row = await door.submissions.ask(draft)
    else:
        row = await door.ask(
            create_request,
            request,
            origin=origin,
            idempotency_key=idempotency_key,
            wishes=wishes,
            is_bounded=is_bounded,
            most_open=door.settings.max_open_requests,
        )
    structlog.contextvars.bind_contextvars(staging_request=row.id)
    logger.info("Request recorded")
    door.recorded.set()
    return row
