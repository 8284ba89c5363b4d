"""What a token's claims say: the user's name and groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stager.callers.access_rules import IssuerRules
from stager.errors import NotAllowed, TokenInvalid


def username_of(claims: Mapping[str, Any], rules: IssuerRules) -> str:
    """Return the user for whom the access file or the token's own claim stands.

    Raises
    ------
    NotAllowed
        The access file names users, and not this one.
    TokenInvalid
        The token has no claim of a name.
    """
    subject = claims["sub"]
    said = claims.get(rules.username_claim)
    if found := rules.user_of(subject, said):
        return found
    if rules.has_tables:
        reason = f"the access file has no user for {said or subject}"
        raise NotAllowed(reason)
    if not isinstance(said, str) or not said:
        reason = f"it has no claim {rules.username_claim}"
        raise TokenInvalid(reason)
    return said


def groups_of(claims: Mapping[str, Any], rules: IssuerRules) -> frozenset[str]:
    """Return the groups without the slash with which each begins in WLCG's profile."""
    said = claims.get(rules.groups_claim)
    return frozenset(str(group).removeprefix("/") for group in said) if isinstance(said, list) else frozenset()
