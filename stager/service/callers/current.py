"""What routes take: the caller, and a request that the caller may see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import structlog
from fastapi import Depends, Path
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from stager.errors import RequestNotFound, TokenMissing
from stager.records import StagingRequestRow, get_request
from stager.service.callers.caller import ANYBODY, Caller
from stager.service.door import OpenDoor

_bearer = HTTPBearer(
    auto_error=False, bearerFormat="JWT", description="An access token of an issuer that this site trusts."
)


async def _current_caller(
    door: OpenDoor, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Caller:
    if door.authenticator is None:
        return ANYBODY
    if credentials is None:
        raise TokenMissing
    caller = await door.authenticator.authenticate(credentials.credentials)
    structlog.contextvars.bind_contextvars(caller=caller.username)
    return caller


CurrentCaller = Annotated[Caller, Depends(_current_caller)]


async def seen_request(
    door: OpenDoor, caller: CurrentCaller, request_id: Annotated[str, Path(description="The request's id.")]
) -> StagingRequestRow:
    """Return the request of an id; one that the caller may not see is as if there were none.

    Raises
    ------
    RequestNotFound
        There is none of that id, or it is another user's.
    """
    row = await door.ask(get_request, request_id)
    if not caller.sees(row.username):
        raise RequestNotFound(request_id)
    return row


SeenRequest = Annotated[StagingRequestRow, Depends(seen_request)]


async def _long_call(door: OpenDoor, caller: CurrentCaller) -> AsyncIterator[None]:
    with door.long_calls.one_more(caller.username):
        yield


# For a route whose answer may last: the call counts until all of it was sent.
LONG_CALL = Depends(_long_call)
