"""From a bearer token to a caller."""

from __future__ import annotations

from typing import Any

import httpx

from stager.errors import NotAllowed, TokenInvalid
from stager.service.callers.caller import Caller
from stager.service.callers.issuer import Issuer
from stager.service.callers.rules import Rules
from stager.service.callers.token import UncheckedToken, check_token, read_token


class Authenticator:
    """Knows the issuers and what the access file grants."""

    def __init__(self, rules: Rules, http: httpx.AsyncClient) -> None:
        self._rules = rules
        self._issuers = {issuer.url: Issuer(issuer, http) for issuer in rules.issuers}

    async def authenticate(self, text: str) -> Caller:
        """Return who holds a token.

        Raises
        ------
        TokenInvalid
            The token does not count here.
        NotAllowed
            It counts, and the access file has no user for it.
        IssuerUnavailable
            Its issuer has not given its keys, or is away when asked for the user.
        """
        token = read_token(text)
        issuer = self._issuers.get(token.issuer)
        if issuer is None:
            reason = "its issuer is not trusted here"
            raise TokenInvalid(reason)
        claims = check_token(token, keys=await issuer.keys(token.key_id), rules=issuer.rules)
        claims = await _completed(claims, issuer, token)
        username = _username(claims, issuer)
        return Caller(username=username, grants=self._rules.grants(username, _groups(claims, issuer)))


async def _completed(claims: dict[str, Any], issuer: Issuer, token: UncheckedToken) -> dict[str, Any]:
    """Return a token's claims, and those that only the issuer's userinfo has."""
    rules = issuer.rules
    if not rules.userinfo or {rules.username_claim, rules.groups_claim} <= claims.keys():
        return claims
    return {**await issuer.userinfo(token.text, subject=claims["sub"]), **claims}


def _username(claims: dict[str, Any], issuer: Issuer) -> str:
    rules = issuer.rules
    said = claims.get(rules.username_claim)
    for value in (said, claims["sub"]):
        if isinstance(value, str) and value in rules.names:
            return rules.names[value]
    if rules.names:
        reason = f"the operator's file has no user for {said or claims['sub']}"
        raise NotAllowed(reason)
    if not isinstance(said, str) or not said:
        reason = f"it has no claim {rules.username_claim}"
        raise TokenInvalid(reason)
    return said


def _groups(claims: dict[str, Any], issuer: Issuer) -> frozenset[str]:
    """Return the groups by their bare names: in WLCG's profile each begins with a slash."""
    said = claims.get(issuer.rules.groups_claim)
    return frozenset(str(group).removeprefix("/") for group in said) if isinstance(said, list) else frozenset()
