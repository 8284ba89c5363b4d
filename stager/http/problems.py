"""Errors as answers: problem details (RFC 9457) whose ``detail`` the demo's clients can read."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request

from stager.errors import KINDS, StagingError, TokenInvalid, TokenMissing, printable
from stager.http.responses import EscapedJSON
from stager.http.verbs import verbs_of

MEDIA_TYPE = "application/problem+json"
# Seconds after which a client may try again when something we need is away.
RETRY_AFTER = "5"
# Likewise by status: a user's requests end more slowly than a database restarts.
RETRY_AFTERS = {503: RETRY_AFTER, 429: "30"}
# How many mistakes of one call are told.
MAX_FINDINGS = 100
# RFC 6750, section 3.
CHALLENGES: dict[type[StagingError], str] = {TokenMissing: "Bearer", TokenInvalid: 'Bearer error="invalid_token"'}

logger = structlog.get_logger(__name__)


class Finding(BaseModel):
    """A mistake in a call."""

    type: str = Field(description="The kind of mistake.", examples=["missing"])
    loc: tuple[str | int, ...] = Field(description="Where it is.", examples=[["body", "data"]])
    msg: str = Field(description="What is wrong.", examples=["Field required"])


class Problem(BaseModel):
    """Why a call was refused or failed."""

    type: str = Field(description="A page that tells what this kind of problem is, or about:blank.")
    title: str = Field(description="The kind of problem, in words.")
    status: int = Field(description="The HTTP status again.")
    detail: str | tuple[Finding, ...] = Field(
        description="What went wrong this time, in a sentence; of a call that is not as the API wants it, each mistake."
    )
    instance: str = Field(description="The path that was asked for.")
    http_request_id: str = Field(description="The answer's X-Request-ID, which the log's lines carry too.")


class ProblemAnswer(EscapedJSON):
    """A problem on its way out."""

    media_type = MEDIA_TYPE


def error_class(name: str | None) -> type[StagingError]:
    """Return the error class of that name, the tree's root for a name that nobody knows."""
    return KINDS.get(name or "", StagingError)


def slug(kind: type[StagingError]) -> str:
    """Return an error class's name as it stands in an address: ``source-not-found``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()


# The error classes by those names.
KINDS_OF_PROBLEMS = {slug(kind): kind for kind in sorted(KINDS.values(), key=slug)}


def title(kind: type[StagingError]) -> str:
    """Return what an error class stands for: its docstring's first line."""
    return (inspect.getdoc(kind) or kind.__name__).splitlines()[0].rstrip(".")


def staging_problem(request: Request, kind: type[StagingError], detail: str) -> ProblemAnswer:
    """Return the answer for an error of ours, raised here or recorded by a run."""
    members = {
        "type": f"{request.app.state.settings.public_url}/problems/{slug(kind)}",
        "title": title(kind),
        "detail": detail,
    }
    challenge = {"WWW-Authenticate": CHALLENGES[kind]} if kind in CHALLENGES else {}
    return problem(request, kind.http_status, members, challenge)


def problem(
    request: Request, status: int, members: Mapping[str, object], headers: Mapping[str, str] | None = None
) -> ProblemAnswer:
    """Return a problem with the members that every one has, and ``members``."""
    content = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        **members,
        "instance": request.url.path,
        "http_request_id": request.state.http_request_id,
    }
    retry = {"Retry-After": RETRY_AFTERS[status]} if status in RETRY_AFTERS else {}
    return ProblemAnswer(content, status_code=status, headers={**retry, **(headers or {})})


def unforeseen_problem(request: Request) -> ProblemAnswer:
    """Return the answer when nobody knows what went wrong; the log does."""
    detail = (
        "The service met an error that it does not know. The log has the details under the id "
        f"{request.state.http_request_id}."
    )
    return problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, {"detail": detail})


async def _staging_error(request: Request, error: Exception) -> ProblemAnswer:
    if not isinstance(error, StagingError):
        raise error
    is_ours = error.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR
    logger.warning(
        "Refused", reason=error.message, error_type=type(error).__name__, exc_info=error if is_ours else None
    )
    return staging_problem(request, type(error), error.message)


async def _http_exception(request: Request, error: Exception) -> ProblemAnswer:
    if not isinstance(error, HTTPException):
        raise error
    headers = error.headers
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        verbs = verbs_of(request.scope)
        headers = {**(headers or {}), "Allow": ", ".join(sorted(verbs | {"HEAD"} if "GET" in verbs else verbs))}
    return problem(request, error.status_code, {"detail": str(error.detail)}, headers)


async def _invalid(request: Request, error: Exception) -> ProblemAnswer:
    """Answer as FastAPI does: its list as ``detail`` is what the demo's clients know.

    What was sent is not repeated: it may be long, secret, or no JSON (NaN).
    """
    if not isinstance(error, RequestValidationError):
        raise error
    found = [_finding(about) for about in error.errors()[:MAX_FINDINGS]]
    members = {"title": "The call is not as the API wants it", "detail": found}
    return problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, members)


def _finding(about: Mapping[str, Any]) -> dict[str, object]:
    """Return where what is wrong; a name that was sent, of a field that there is not, as one printable line."""
    place = [printable(part) if isinstance(part, str) else part for part in about["loc"]]
    return {"type": about["type"], "loc": place, "msg": printable(about["msg"])}


def answer_errors(app: FastAPI) -> None:
    """Let every error that leaves a handler become a problem."""
    app.add_exception_handler(StagingError, _staging_error)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(RequestValidationError, _invalid)


def documented(*statuses: int) -> dict[int | str, dict[str, object]]:
    """Return what OpenAPI says of a route's errors."""
    return {
        status: {"model": Problem, "description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {}}}
        for status in statuses
    }
