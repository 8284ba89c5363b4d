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
# Seconds after which a client may retry when something that the service needs does not answer.
RETRY_AFTER = "5"
# The same by status: a user's requests end more slowly than a database restarts.
RETRY_AFTERS = {503: RETRY_AFTER, 429: "30"}
# How many mistakes of one call are reported.
MAX_FINDINGS = 100
# RFC 6750, section 3.
CHALLENGES: dict[type[StagingError], str] = {TokenMissing: "Bearer", TokenInvalid: 'Bearer error="invalid_token"'}

logger = structlog.get_logger(__name__)


class Finding(BaseModel):
    """One mistake in a call."""

    type: str = Field(description="The kind of mistake.", examples=["missing"])
    loc: tuple[str | int, ...] = Field(description="Where the mistake is.", examples=[["body", "data"]])
    msg: str = Field(description="What is wrong.", examples=["Field required"])


class Problem(BaseModel):
    """Why a call was refused or failed."""

    type: str = Field(description="A page about this kind of problem, or about:blank.")
    title: str = Field(description="The kind of problem, in words.")
    status: int = Field(description="The HTTP status again.")
    detail: str | tuple[Finding, ...] = Field(
        description="What went wrong, in a sentence; for an invalid call, a list of its mistakes."
    )
    instance: str = Field(description="The path that was asked for.")
    http_request_id: str = Field(description="The answer's X-Request-ID, which is in the log's lines too.")


class ProblemAnswer(EscapedJSON):
    """An answer with a problem as its body."""

    media_type = MEDIA_TYPE


def error_class(name: str | None) -> type[StagingError]:
    """Return the error class of that name; the root of the tree for an unknown name."""
    return KINDS.get(name or "", StagingError)


def slug(kind: type[StagingError]) -> str:
    """Return an error class's name as in addresses: ``source-not-found``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()


# The error classes by their names in addresses.
KINDS_OF_PROBLEMS = {slug(kind): kind for kind in sorted(KINDS.values(), key=slug)}


def title(kind: type[StagingError]) -> str:
    """Return a problem's title: the first line of its error class's docstring."""
    return (inspect.getdoc(kind) or kind.__name__).splitlines()[0].rstrip(".")


def staging_problem(request: Request, kind: type[StagingError], detail: str) -> ProblemAnswer:
    """Return the answer for one of our errors, raised here or recorded by a run."""
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
    """Return a problem with the members that every problem has, and ``members``."""
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
    """Return the answer for an unforeseen error, whose details are in the log."""
    detail = (
        f"The service met an unforeseen error. The log has its details under the id {request.state.http_request_id}."
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
    """Answer like FastAPI, with a list as ``detail``, as the demo's clients know it.

    What was sent is not repeated: it may be long, secret, or no JSON (NaN).
    """
    if not isinstance(error, RequestValidationError):
        raise error
    found = [_finding(about) for about in error.errors()[:MAX_FINDINGS]]
    members = {"title": "The call is invalid", "detail": found}
    return problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, members)


def _finding(about: Mapping[str, Any]) -> dict[str, object]:
    """Return a mistake and its place; the name of an unknown field is made one printable line."""
    place = [printable(part) if isinstance(part, str) else part for part in about["loc"]]
    return {"type": about["type"], "loc": place, "msg": printable(about["msg"])}


def answer_errors(app: FastAPI) -> None:
    """Turn every error that a handler raises into a problem."""
    app.add_exception_handler(StagingError, _staging_error)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(RequestValidationError, _invalid)


def documented(*statuses: int) -> dict[int | str, dict[str, object]]:
    """Return OpenAPI's description of a route's errors."""
    return {
        status: {"model": Problem, "description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {}}}
        for status in statuses
    }
