"""An issuer of tokens, and the keys that it publishes."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from typing import Any

import httpx
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import BaseModel, ValidationError

from stager.callers.access_rules import IssuerRules
from stager.callers.issuer_answers import get_json
from stager.callers.userinfo import Userinfo
from stager.errors import IssuerUnavailable

# How long keys are used before they are fetched again, and how long they
# are used while the issuer does not answer, in seconds.
FRESH_SECONDS, KEPT_SECONDS = 300.0, 3600.0
# Seconds from one attempt to fetch keys to the next: tokens of strangers
# must not make us flood the issuer with calls.
KEYS_RETRY_SECONDS = 5.0

logger = structlog.get_logger(__name__)


class Metadata(BaseModel):
    """The needed part of the discovery document (OpenID Connect Discovery 1.0, section 3)."""

    issuer: str
    jwks_uri: str
    userinfo_endpoint: str | None = None


@dataclass(frozen=True)
class IssuerKeys:
    """The keys that an issuer published, and when they were fetched."""

    metadata: Metadata
    keys: KeySet
    at: float

    @property
    def age(self) -> float:
        """Seconds since they were fetched."""
        return time.monotonic() - self.at

    def has(self, key_id: str | None) -> bool:
        """Return whether the key with an id is among them; without an id, any key will do."""
        return key_id is None or any(key.kid == key_id for key in self.keys)


class Issuer:
    """One issuer, asked over HTTP as seldom as possible and by one call at a time."""

    def __init__(self, rules: IssuerRules, http: httpx.AsyncClient) -> None:
        self.rules = rules
        self._http = http
        self._published: IssuerKeys | None = None
        self._paused_until = -math.inf
        self._asking: asyncio.Task[None] | None = None
        self._userinfo = Userinfo(http)

    def close(self) -> None:
        """Cancel the call that is under way."""
        self._userinfo.close()
        if self._asking is not None:
            self._asking.cancel()

    async def keys(self, key_id: str | None) -> KeySet:
        """Return the issuer's keys.

        While those that are known serve, nobody waits: they are asked for anew
        in the background. Whose key is not among them waits for that question,
        all together, or not at all shortly after the last one.

        Raises
        ------
        IssuerUnavailable
            It does not answer, and what it said before is too old.
        """
        published = await self._current(key_id)
        return published.keys

    async def userinfo(self, token: str, *, subject: str) -> dict[str, Any]:
        """Return the issuer's claims on a token's user, as `Userinfo.of` does; none where it has no userinfo."""
        endpoint = (await self._current(None)).metadata.userinfo_endpoint
        return await self._userinfo.of(token, endpoint, subject=subject) if endpoint else {}

    async def _current(self, key_id: str | None) -> IssuerKeys:
        published = self._usable()
        if published is None or not published.has(key_id):
            if task := self._ask_anew():
                await asyncio.wait([task])  # whoever hangs up leaves it to the others
            published = self._usable()
        elif published.age >= FRESH_SECONDS:
            self._ask_anew()
        if published is None:
            reason = f"{self.rules.url} has not provided its keys"
            raise IssuerUnavailable(reason)
        return published

    def _usable(self) -> IssuerKeys | None:
        return self._published if self._published and self._published.age <= KEPT_SECONDS else None

    def _ask_anew(self) -> asyncio.Task[None] | None:
        """Return the task that fetches the keys, started now or before; None shortly after the last one."""
        if self._asking is None and time.monotonic() >= self._paused_until:
            self._asking = asyncio.create_task(self._renew(), name=f"keys of {self.rules.url}")
        return self._asking

    async def _renew(self) -> None:
        try:
            self._published = await self._ask()
        except IssuerUnavailable as error:
            logger.warning("Could not fetch the keys of an issuer", issuer=self.rules.url, reason=error.message)
        finally:
            self._paused_until = time.monotonic() + KEYS_RETRY_SECONDS
            self._asking = None

    async def _ask(self) -> IssuerKeys:
        address = self.rules.url.rstrip("/") + "/.well-known/openid-configuration"
        try:
            metadata = Metadata.model_validate(await get_json(self._http, address))
            if metadata.issuer != self.rules.url:  # OpenID Connect Discovery 1.0, section 4.3
                reason = f"{address} is the document of {metadata.issuer}"
                raise IssuerUnavailable(reason)
            keys = KeySet.import_key_set(await get_json(self._http, metadata.jwks_uri))  # type: ignore[arg-type] # looked at there
        except (ValidationError, JoseError, KeyError, TypeError, ValueError) as error:
            reason = f"no keys could be read by {address}: {error}"
            raise IssuerUnavailable(reason) from error
        return IssuerKeys(metadata, keys, time.monotonic())
