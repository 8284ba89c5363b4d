"""Userinfo: an issuer's claims on its tokens' users, cached for a while."""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from dataclasses import dataclass
from typing import Any

import httpx
from cachetools import TTLCache

from stager.callers.issuer_answers import get_json
from stager.errors import IssuerUnavailable, StagingError, TokenInvalid

# How long an answer is used before the issuer is asked again, and how long it is used while
# the issuer does not answer, in seconds; and for how many tokens answers are cached.
FRESH_SECONDS, KEPT_SECONDS = 300.0, 3600.0
MAX_TOKENS = 10_000
# How long an issuer that did not answer is not asked again where a cached answer will do, in seconds.
SILENT_SECONDS = 60.0


@dataclass(frozen=True)
class UserinfoAnswer:
    """The claims on a token's user, and when they were fetched."""

    claims: dict[str, Any]
    at: float

    @property
    def age(self) -> float:
        """Seconds since they were fetched."""
        return time.monotonic() - self.at


class Userinfo:
    """Asks an issuer about users, with one call for each token at a time."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._said: TTLCache[str, UserinfoAnswer] = TTLCache(MAX_TOKENS, KEPT_SECONDS)
        self._asking: dict[str, asyncio.Task[UserinfoAnswer | StagingError]] = {}
        self._silent_until = -math.inf

    def close(self) -> None:
        """Cancel the calls that are under way."""
        for task in self._asking.values():
            task.cancel()

    async def of(self, token: str, endpoint: str, *, subject: str) -> dict[str, Any]:
        """Return the issuer's claims on a token's user (OpenID Connect Core 1.0, section 5.3).

        Raises
        ------
        IssuerUnavailable
            It does not answer, and what it said before is too old.
        TokenInvalid
            It does not know the token, or speaks of another user.
        """
        key = hashlib.sha256(token.encode()).hexdigest()
        said = self._said.get(key)
        if said and (said.age < FRESH_SECONDS or time.monotonic() < self._silent_until):
            return said.claims
        if key not in self._asking:
            self._asking[key] = asyncio.create_task(self._ask(key, token, endpoint=endpoint, subject=subject))
        task = self._asking[key]
        await asyncio.wait([task])  # whoever hangs up leaves it to the others
        answer = IssuerUnavailable("it is not asked any more") if task.cancelled() else task.result()
        if isinstance(answer, IssuerUnavailable) and said:
            return said.claims
        if isinstance(answer, StagingError):
            raise answer
        return answer.claims

    async def _ask(self, key: str, token: str, *, endpoint: str, subject: str) -> UserinfoAnswer | StagingError:
        """Return the answer, or the error: by now, nobody may be waiting to have it raised."""
        try:
            claims = await get_json(self._http, endpoint, token=token)
            if claims.get("sub") != subject:
                return TokenInvalid("its issuer's userinfo is about another user")
        except IssuerUnavailable as error:
            self._silent_until = time.monotonic() + SILENT_SECONDS
            return error
        except TokenInvalid as error:
            self._said.pop(key, None)
            return error
        finally:
            del self._asking[key]
        self._said[key] = said = UserinfoAnswer(claims, time.monotonic())
        return said
