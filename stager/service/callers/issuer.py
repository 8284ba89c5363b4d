"""An issuer of tokens: where its keys are, and what they are now."""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import dataclass
from typing import Any

import httpx
import structlog
from cachetools import TTLCache
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import BaseModel, ValidationError

from stager.errors import IssuerUnavailable, TokenInvalid
from stager.service.callers.rules import IssuerRules

# How long keys are used before they are asked for again, and how long they
# serve while the issuer does not answer, in seconds.
FRESH_FOR, LAST_FOR = 300.0, 3600.0
# Seconds between two questions because of a key that nobody knows, or after a
# failure: tokens of strangers must not make us flood the issuer.
PAUSE = 5.0
# How long, and of how many tokens, an issuer's word on a user is kept.
USERINFO_FOR, USERINFO_TOKENS = 300.0, 10_000

logger = structlog.get_logger(__name__)


class Metadata(BaseModel):
    """What we need of the discovery document (OpenID Connect Discovery 1.0, section 3)."""

    issuer: str
    jwks_uri: str
    userinfo_endpoint: str | None = None


@dataclass(frozen=True)
class Published:
    """What an issuer published, and when we asked."""

    metadata: Metadata
    keys: KeySet
    at: float

    def has(self, key_id: str | None) -> bool:
        """Return whether a key is among them; a token may leave out which it is of."""
        return key_id is None or any(key.kid == key_id for key in self.keys)


class Issuer:
    """One issuer, asked over HTTP as seldom as can be."""

    def __init__(self, rules: IssuerRules, http: httpx.AsyncClient) -> None:
        self.rules = rules
        self._http = http
        self._published: Published | None = None
        self._asked = -PAUSE
        self._lock = asyncio.Lock()
        self._userinfo: TTLCache[str, dict[str, Any]] = TTLCache(USERINFO_TOKENS, USERINFO_FOR)

    async def keys(self, key_id: str | None) -> KeySet:
        """Return the issuer's keys, asked for anew when they are old or the one that is meant is not among them.

        Raises
        ------
        IssuerUnavailable
            It does not answer, and what it said before is too old.
        """
        published = await self._current(key_id)
        return published.keys

    async def userinfo(self, token: str, *, subject: str) -> dict[str, Any]:
        """Return what the issuer says of a token's user (OpenID Connect Core 1.0, section 5.3).

        Raises
        ------
        IssuerUnavailable
            It does not answer.
        TokenInvalid
            It does not know the token, or speaks of another user.
        """
        key = hashlib.sha256(token.encode()).hexdigest()
        if key not in self._userinfo:
            endpoint = (await self._current(None)).metadata.userinfo_endpoint
            said = await self._get(endpoint, token=token) if endpoint else {}
            if endpoint and said.get("sub") != subject:
                reason = "its issuer speaks of another user"
                raise TokenInvalid(reason)
            self._userinfo[key] = said
        return self._userinfo[key]

    async def _current(self, key_id: str | None) -> Published:
        if (published := self._published) and published.has(key_id) and _age(published) < FRESH_FOR:
            return published
        async with self._lock:
            await self._renew(key_id)
        if self._published is None or _age(self._published) > LAST_FOR:
            reason = f"{self.rules.url} has not given its keys"
            raise IssuerUnavailable(reason)
        return self._published

    async def _renew(self, key_id: str | None) -> None:
        """Ask again, unless somebody just did."""
        published = self._published
        is_wanted = published is None or not published.has(key_id) or _age(published) >= FRESH_FOR
        if not is_wanted or time.monotonic() - self._asked < PAUSE:
            return
        self._asked = time.monotonic()
        try:
            self._published = await self._ask()
        except IssuerUnavailable as error:
            logger.warning("Issuer does not give its keys", issuer=self.rules.url, reason=error.message)

    async def _ask(self) -> Published:
        address = self.rules.url.rstrip("/") + "/.well-known/openid-configuration"
        try:
            metadata = Metadata.model_validate(await self._get(address))
            if metadata.issuer != self.rules.url:  # OpenID Connect Discovery 1.0, section 4.3
                reason = f"{address} speaks for {metadata.issuer}"
                raise IssuerUnavailable(reason)
            keys = KeySet.import_key_set(await self._get(metadata.jwks_uri))  # type: ignore[arg-type] # looked at there
        except (ValidationError, JoseError, KeyError, TypeError, ValueError) as error:
            reason = f"{address} leads to no keys: {error}"
            raise IssuerUnavailable(reason) from error
        return Published(metadata, keys, time.monotonic())

    async def _get(self, address: str, *, token: str | None = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            answer = await self._http.get(address, headers=headers)
        except httpx.HTTPError as error:
            reason = f"{address}: {str(error) or type(error).__name__}"
            raise IssuerUnavailable(reason) from error
        if token and answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            reason = "its issuer does not take it"
            raise TokenInvalid(reason)
        if not answer.is_success:
            reason = f"{address} answers {answer.status_code}"
            raise IssuerUnavailable(reason)
        try:
            said = answer.json()
        except ValueError as error:
            reason = f"{address} does not answer in JSON"
            raise IssuerUnavailable(reason) from error
        return said if isinstance(said, dict) else {}


def _age(published: Published) -> float:
    return time.monotonic() - published.at
