"""FastAPI dependencies: the caller, and a request that the caller may see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import structlog
from fastapi import Depends, Path
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request

from stager.callers.authenticator import Authenticator
from stager.callers.caller import ANYBODY, Caller
from stager.errors import RequestNotFound, TokenMissing
from stager.http.dependencies import CountedCalls, OpenRecords
from stager.http.examples import REQUEST_ID
from stager.records.requests import get_request
from stager.records.tables import StagingRequestRow

_bearer = HTTPBearer(
    auto_error=False, bearerFormat="JWT", description="An access token of an issuer that this site trusts."
)


async def settle_caller(request: Request) -> Caller:
    """Return the caller, whom each call is asked for once.

    Raises
    ------
    TokenMissing
        Nobody says who calls.
    TokenInvalid, NotAllowed, IssuerUnavailable
        As `Authenticator.authenticate` does.
    """
    # The answer depends on the caller: SafeHeaders forbids others to cache it.
    request.state.is_for_caller = True
    known: Caller | None = getattr(request.state, "caller", None)
    if known is None:
        request.state.caller = known = await _find_caller(request)
    return known


async def _find_caller(request: Request) -> Caller:
    authenticator: Authenticator | None = request.app.state.authenticator
    if authenticator is None:
        return ANYBODY
    credentials = await _bearer(request)
    if credentials is None:
        raise TokenMissing
    caller = await authenticator.authenticate(credentials.credentials)
    structlog.contextvars.bind_contextvars(caller=caller.username)
    return caller


async def _current_caller(
    request: Request,
    _: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],  # it puts the token into the API's description
) -> Caller:
    return await settle_caller(request)


CurrentCaller = Annotated[Caller, Depends(_current_caller)]


async def seen_request(
    records: OpenRecords,
    caller: CurrentCaller,
    request_id: Annotated[str, Path(description="The request's id.", examples=[REQUEST_ID])],
) -> StagingRequestRow:
    """Return the request with an id; a request that the caller may not see is reported as missing.

    Raises
    ------
    RequestNotFound
        There is none of that id, or it is another user's.
    """
    row = await records.ask(get_request, request_id)
    if not caller.sees(row.username):
        raise RequestNotFound(request_id)
    return row


SeenRequest = Annotated[StagingRequestRow, Depends(seen_request)]


async def _long_call(long_calls: CountedCalls, caller: CurrentCaller) -> AsyncIterator[None]:
    with long_calls.one_more(caller.username):
        yield


# A dependency of routes whose answer may last: the call is counted until all of it was sent.
LONG_CALL = Depends(_long_call)
