"""How a request is taken in, whichever door it comes to: looked at, then written down."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

import structlog

from stager.errors import InvalidMethod
from stager.identity import resolve
from stager.methods import METHODS
from stager.models import StagingRequest
from stager.records import ClientWish, StagingRequestRow, create_request
from stager.service.callers.caller import Caller
from stager.service.door import Door
from stager.service.quota import check_open_requests

# A request of more items is a transaction of its own: nobody waits for it.
FEW_ITEMS = 100

logger = structlog.get_logger(__name__)


async def check(
    door: Door,
    caller: Caller,
    *,
    method: str,
    username: str,
    areas: Collection[str],
    idempotency_key: str | None = None,
    more: frozenset[str] = frozenset(),
) -> None:
    """Return when the caller may ask for that.

    Parameters
    ----------
    areas
        Storage areas that it is staged from and to.
    idempotency_key
        The caller's own name for the call: one that was taken in before is no further request.
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
    TooManyRequests
        As many of the user's are open as the site allows.
    """
    structlog.contextvars.bind_contextvars(method=method, username=username)  # on every line of this call
    if method not in METHODS.keys() | more or method not in door.settings.allowed_methods:
        raise InvalidMethod(method)
    caller.user(username)
    caller.check_method(method)
    for area in areas:
        caller.check_area(area)
    await asyncio.to_thread(resolve, username, users_file=door.settings.users_file)
    await check_open_requests(door, username, idempotency_key=idempotency_key)


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
    """
    ask = door.ask_together if len(request.items) <= FEW_ITEMS else door.ask
    row = await ask(create_request, request, origin=origin, idempotency_key=idempotency_key, wishes=wishes)
    structlog.contextvars.bind_contextvars(staging_request=row.id)
    logger.info("Request recorded")
    door.recorded.set()
    return row
