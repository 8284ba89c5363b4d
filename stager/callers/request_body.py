"""Bodies of requests: the user name may be missing in them, and is the caller's then."""

from __future__ import annotations

from typing import TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import Field

from stager.callers.caller import Caller
from stager.models import USER_AREA, AreaName, DestinationName, StagingRequest, StagingTerms

WHOSE = "User to stage for; by default the caller; needed without authentication."


class TermsBody(StagingTerms):
    """How a user wants some items staged."""

    # Checked here, in new requests: an older record, which may be retried, may name an area as none can be called now.
    source_area: AreaName = Field("source", description="Storage area of the sources.")
    destination_area: DestinationName = Field(
        USER_AREA, description=StagingTerms.model_fields["destination_area"].description
    )
    username: str | None = Field(  # type: ignore[assignment] # it is filled in before anybody reads it
        None, min_length=1, max_length=255, description=WHOSE, examples=["alice"]
    )


class RequestBody(TermsBody, StagingRequest):
    """What a user wants staged: one or more items by one method."""


Named = TypeVar("Named", TermsBody, RequestBody)


def named(asked: Named, caller: Caller, *, place: str) -> Named:
    """Return a body with its user name filled in; the parameters are those of ``name_of``."""
    return asked.model_copy(update={"username": name_of(asked.username, caller, place=place)})


def name_of(username: str | None, caller: Caller, *, place: str) -> str:
    """Return the user that a call is for: the named one, or the caller.

    Parameters
    ----------
    place
        Where a name would stand, ``query`` or ``body``.

    Raises
    ------
    RequestValidationError
        Nobody is named, and nobody knows who calls.
    NotAllowed
        The name is another's, and the caller acts for nobody else.
    """
    if username is None and caller.username is None:
        missing = "Field required: authentication is off, and nobody knows who calls"
        raise RequestValidationError([{"type": "missing", "loc": (place, "username"), "msg": missing}])
    return caller.user(username)
