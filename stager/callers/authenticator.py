"""The authenticator: it finds out who holds a bearer token, and what they may do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import structlog

from stager.background import background_task
from stager.callers.access_file import AccessFile
from stager.callers.access_rules import Rules
from stager.callers.caller import Caller
from stager.callers.claims import groups_of, username_of
from stager.callers.issuer import Issuer
from stager.callers.issuer_answers import ISSUER_ANSWER_SECONDS
from stager.callers.token_check import UncheckedToken, check_token, read_token
from stager.errors import ConfigurationError, TokenInvalid
from stager.settings import AUTHENTICATION_IS_OFF, Settings

# How often the access file is checked for changes, in seconds: an edit counts within that time.
ACCESS_FILE_POLL_SECONDS = 1.0

logger = structlog.get_logger(__name__)


class Authenticator:
    """Checks bearer tokens by their issuers' keys and the access file's rules.

    Raises
    ------
    ConfigurationError
        The file is missing or broken.
    """

    def __init__(self, file: AccessFile, http: httpx.AsyncClient) -> None:
        self._file = file
        self._http = http
        self._issuers: dict[str, Issuer] = {}
        self._take(file.read())

    async def follow_file(self) -> None:
        """Follow the changes of the access file until cancelled; a mistake in it changes nothing."""
        told = ""
        while True:
            await asyncio.sleep(ACCESS_FILE_POLL_SECONDS)
            try:
                if rules := await asyncio.to_thread(self._file.read_if_changed):
                    self._take(rules)
                told = ""
            except ConfigurationError as error:
                if error.message != told:
                    logger.error("Could not read the access file; its last valid version counts", reason=error.message)  # noqa: TRY400 - the reason says it all
                told = error.message

    def _take(self, rules: Rules) -> None:
        """Apply new rules, and keep the keys of each issuer whose rules are unchanged."""
        known = {url: issuer for url, issuer in self._issuers.items() if issuer.rules in rules.issuers}
        for url in self._issuers.keys() - known.keys():
            self._issuers[url].close()
        self._issuers = {rule.url: known.get(rule.url) or Issuer(rule, self._http) for rule in rules.issuers}
        self._rules = rules
        logger.info("Authentication is on", issuers=list(self._issuers))
        for upgrade in rules.upgrades():
            logger.warning("Access file from an earlier version", upgrade=upgrade)

    def close(self) -> None:
        """Stop asking issuers."""
        for issuer in self._issuers.values():
            issuer.close()

    async def authenticate(self, text: str) -> Caller:
        """Return the caller who holds a token.

        Raises
        ------
        TokenInvalid
            The token is not accepted.
        NotAllowed
            It counts, and the access file has no user for it.
        IssuerUnavailable
            Its issuer does not answer when asked for its keys or for the user.
        """
        token = read_token(text)
        issuer = self._issuers.get(token.issuer)
        if issuer is None:
            reason = "its issuer is not trusted here"
            raise TokenInvalid(reason)
        claims = check_token(token, keys=await issuer.keys(token.key_id), rules=issuer.rules)
        claims = await _completed(claims, issuer, token)
        username = username_of(claims, issuer.rules)
        return Caller(username=username, grants=self._rules.grants(username, groups_of(claims, issuer.rules)))


@asynccontextmanager
async def open_authenticator(settings: Settings) -> AsyncIterator[Authenticator | None]:
    """Yield the authenticator, or None where authentication is off."""
    if settings.access_file is None:
        logger.warning(AUTHENTICATION_IS_OFF)
        yield None
        return
    async with httpx.AsyncClient(timeout=ISSUER_ANSWER_SECONDS) as http:
        authenticator = Authenticator(AccessFile(settings.access_file), http)
        try:
            async with background_task(authenticator.follow_file(), name="access file"):
                yield authenticator
        finally:
            authenticator.close()


async def _completed(claims: dict[str, Any], issuer: Issuer, token: UncheckedToken) -> dict[str, Any]:
    """Return a token's claims, completed by those that only the issuer's userinfo has."""
    rules = issuer.rules
    if not rules.userinfo or {rules.username_claim, rules.groups_claim} <= claims.keys():
        return claims
    return {**await issuer.userinfo(token.text, subject=claims["sub"]), **claims}
