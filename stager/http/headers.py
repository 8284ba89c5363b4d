"""Headers of a call that say how to serve it, and descriptions of headers for OpenAPI."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import Header
from pydantic import SecretStr, WithJsonSchema

from stager.http.examples import SECRET

# As in the IETF's draft of the Idempotency-Key header field; quotes, if there are any, belong to the key.
IdempotencyKey = Annotated[
    str | None,
    Header(
        pattern=r"^[\x20-\x7e]{1,255}$",
        description="The caller's own name for this call: the same key and body get the same request, however often. "
        "Downloads ignore it.",
        examples=["night-1 of the survey"],
    ),
]
# A list, since the header may come in several lines, which mean the same as one (RFC 9110, section 5.3).
Prefer = Annotated[
    list[str] | None,
    Header(description="wait=N waits up to N seconds for the outcome (RFC 7240)."),
    WithJsonSchema({"type": "string", "examples": ["wait=10"]}),
]
JupyterToken = Annotated[
    SecretStr | None,
    Header(
        description="The user's JupyterHub token, for a method that uses it; kept sealed until the request ends.",
        examples=[SECRET],
    ),
]

_WAIT = re.compile(r"(?i)(?:^|,)\s*wait\s*=\s*\"?(\d{1,9})\"?\s*(?=$|[,;])")


def described(description: str, example: str) -> dict[str, Any]:
    """Return OpenAPI's description of a header whose value is text."""
    return {"description": description, "schema": {"type": "string"}, "example": example}


def preferred_wait(prefer: list[str] | None, *, longest: float) -> int | None:
    """Return how long a caller wants to wait for the outcome, in whole seconds and no longer than allowed.

    None when nothing is said, or what is said is no preference that we know;
    of several, the first counts (RFC 7240, section 2).
    """
    found = _WAIT.search(",".join(prefer or ()))
    return min(int(found[1]), int(longest)) if found else None
