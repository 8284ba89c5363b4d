"""Answers of issuers: JSON, within a time and of a bounded length."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx

from stager.errors import IssuerUnavailable, TokenInvalid

# How long an answer may take in all, in seconds, and how long it may be, in bytes.
ISSUER_ANSWER_SECONDS = 5.0
MAX_ANSWER_BYTES = 1024 * 1024


async def get_json(http: httpx.AsyncClient, address: str, *, token: str | None = None) -> dict[str, Any]:
    """Return the JSON object at an issuer's address; an empty one where the JSON is no object.

    Parameters
    ----------
    token
        Sent along, where it is asked about its user.

    Raises
    ------
    IssuerUnavailable
        It does not answer in time, or not as it must.
    TokenInvalid
        It does not take the token.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        async with asyncio.timeout(ISSUER_ANSWER_SECONDS), http.stream("GET", address, headers=headers) as answer:
            content = await _content_of(answer)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        reason = f"{address}: {str(error) or type(error).__name__}"
        raise IssuerUnavailable(reason) from error
    if token and answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        reason = "its issuer rejects it"
        raise TokenInvalid(reason)
    if not answer.is_success:
        reason = f"{address} answers {answer.status_code}"
        raise IssuerUnavailable(reason)
    try:
        said = json.loads(content)
    except (ValueError, RecursionError) as error:
        reason = f"{address} does not answer in JSON"
        raise IssuerUnavailable(reason) from error
    return said if isinstance(said, dict) else {}


async def _content_of(answer: httpx.Response) -> bytes:
    content = b""
    async for piece in answer.aiter_bytes():
        content += piece
        if len(content) > MAX_ANSWER_BYTES:
            reason = f"{answer.url} answers with more than {MAX_ANSWER_BYTES} bytes"
            raise IssuerUnavailable(reason)
    return content
