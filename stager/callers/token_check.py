"""The check of a bearer token: who issued it, for whom, and until when."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from stager.callers.access_rules import IssuerRules
from stager.errors import TokenInvalid


@dataclass(frozen=True)
class UncheckedToken:
    """A token, and what it says of itself, not checked yet."""

    text: str
    issuer: str
    key_id: str | None


def read_token(text: str) -> UncheckedToken:
    """Return a token with its issuer and key id, by which it can be checked.

    Raises
    ------
    TokenInvalid
        It is no signed JWT.
    """
    try:
        signed = jws.extract_compact(text.encode())
        header, claims = signed.headers(), json.loads(signed.payload)
        key_id = header.get("kid")
        return UncheckedToken(text, str(claims["iss"]), None if key_id is None else str(key_id))
    except (JoseError, ValueError, TypeError, KeyError, RecursionError) as error:
        reason = "it is not a signed JWT"
        raise TokenInvalid(reason) from error


def check_token(token: UncheckedToken, *, keys: KeySet, rules: IssuerRules) -> dict[str, Any]:
    """Check a token by its issuer's rules and return its claims.

    Raises
    ------
    TokenInvalid
        Its signature, issuer, audience, time or type is not as it must be.

    Notes
    -----
    RFC 7519, section 7.2; RFC 8725, section 3; RFC 9068, section 4; WLCG
    Common JWT Profiles 1.0.
    """
    # An unknown word in the header is to be ignored: RFC 7515, section 4.
    registry = jws.JWSRegistry(algorithms=list(rules.algorithms), strict_check_header=False)
    try:
        checked = jwt.decode(token.text, keys, registry=registry)
        _registry(rules).validate(checked.claims)
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise TokenInvalid(str(error)) from error
    if not isinstance(checked.claims["sub"], str):  # RFC 7519, section 4.1.2
        reason = "its sub is not a text"
        raise TokenInvalid(reason)
    kind = str(checked.header.get("typ") or "").lower()
    if kind not in rules.token_types:
        reason = f"its type is {kind or 'not given'}, not at+jwt"
        raise TokenInvalid(reason)
    return checked.claims


def _registry(rules: IssuerRules) -> jwt.JWTClaimsRegistry:
    needed: jwt.ClaimsOption = {"essential": True}
    by_profile = {"wlcg.ver": needed} if rules.profile == "wlcg" else {}
    return jwt.JWTClaimsRegistry(
        now=None,
        leeway=rules.leeway,
        iss={"essential": True, "value": rules.url},
        aud={"essential": True, "values": list(rules.audiences)},
        exp=needed,
        sub=needed,
        **by_profile,
    )
