"""A caller, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass

from stager.errors import NotAllowed
from stager.service.callers.rules import EVERY, Grant


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who calls.

    Attributes
    ----------
    username
        Their user name on this site; none when authentication is off.
    grants
        What the operator's file grants them, by their name and by each of their groups.
    """

    username: str | None
    grants: tuple[Grant, ...]

    @property
    def acts_for_others(self) -> bool:
        """They may ask in another user's name, and see everybody's requests."""
        return any(grant.role for grant in self.grants)

    @property
    def is_admin(self) -> bool:
        """They may also read the log."""
        return any(grant.role == "admin" for grant in self.grants)

    @property
    def sees_only(self) -> str | None:
        """Whose requests they see; None for everybody's."""
        return None if self.acts_for_others else self.username

    def sees(self, username: str) -> bool:
        """Return whether a user's requests exist for this caller."""
        return self.acts_for_others or username == self.username

    def user(self, username: str | None) -> str:
        """Return in whose name they ask: the one that they give, or their own.

        Raises
        ------
        NotAllowed
            The name is another's, and they act for nobody else.
        """
        wanted = self.username if username is None else username
        if wanted is None or not self.sees(wanted):
            reason = f"{self.username or 'the caller'} may not act for {wanted or 'nobody'}"
            raise NotAllowed(reason)
        return wanted

    def check_method(self, method: str) -> None:
        """Return when they may use a staging method; else raise NotAllowed."""
        self._check(method, "the method", *(grant.methods for grant in self.grants))

    def check_area(self, area: str) -> None:
        """Return when they may stage from or to a storage area; else raise NotAllowed."""
        self._check(area, "the storage area", *(grant.areas for grant in self.grants))

    def may_use(self, area: str) -> bool:
        """Return whether they may stage from or to a storage area."""
        return any(EVERY in grant.areas or area in grant.areas for grant in self.grants)

    def check_admin(self) -> None:
        """Return when they are an administrator; else raise NotAllowed."""
        if not self.is_admin:
            reason = "this is for administrators"
            raise NotAllowed(reason)

    def _check(self, name: str, kind: str, *granted: frozenset[str]) -> None:
        if not any(EVERY in names or name in names for names in granted):
            reason = f"{self.username} may not use {kind} {name}"
            raise NotAllowed(reason)


# Where authentication is off, whoever reaches the service.
ANYBODY = Caller(username=None, grants=(Grant(methods=frozenset({EVERY}), areas=frozenset({EVERY}), role="admin"),))
