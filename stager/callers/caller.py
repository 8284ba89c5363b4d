"""A caller, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass

from stager.callers.access_rules import ALL_OF_IT, EVERY, Direction, Grant, Parts
from stager.errors import NotAllowed


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
        """Whether they may act for other users, and see everybody's requests."""
        return any(grant.role for grant in self.grants)

    @property
    def is_admin(self) -> bool:
        """Whether they are an administrator, who may also read the log."""
        return any(grant.role == "admin" for grant in self.grants)

    @property
    def sees_only(self) -> str | None:
        """The user whose requests they see; None for everybody's."""
        return None if self.acts_for_others else self.username

    def sees(self, username: str) -> bool:
        """Return whether a user's requests exist for this caller."""
        return self.acts_for_others or username == self.username

    def user(self, username: str | None) -> str:
        """Return the user that they act for: the named one, or by default themselves.

        Raises
        ------
        NotAllowed
            The name is another's, and they act for nobody else.
        """
        wanted = self.username if username is None else username
        if wanted is None or not self.sees(wanted):
            reason = f"{self.username or 'the caller'} may not act for {wanted or 'no user'}"
            raise NotAllowed(reason)
        return wanted

    def check_method(self, method: str) -> None:
        """Check that they may use a staging method; else raise NotAllowed."""
        if all(grant.methods.isdisjoint((method, EVERY)) for grant in self.grants):
            reason = f"{self.username} may not use the method {method}"
            raise NotAllowed(reason)

    def check_area(self, area: str, direction: Direction) -> None:
        """Check that they may read something of a storage area, or stage to it; else raise NotAllowed."""
        if not self.may_use(area, direction):
            what = "read" if direction == "read" else "stage to"
            reason = f"{self.username} may not {what} the storage area {area}"
            raise NotAllowed(reason)

    def may_use(self, area: str, direction: Direction) -> bool:
        """Return whether they may read something of a storage area, or stage to it."""
        return any(grant.may_use(area, direction) for grant in self.grants)

    def prefixes(self, area: str) -> frozenset[Parts]:
        """Return the paths of a storage area at and beneath which they may read; none means nothing of it."""
        found = frozenset[Parts]().union(*(grant.prefixes(area) for grant in self.grants))
        return ALL_OF_IT if () in found else found

    def is_bounded(self, area: str) -> bool:
        """Return whether they may read only a part of a storage area; then no symbolic link is followed for them."""
        return self.prefixes(area) != ALL_OF_IT

    def check_admin(self) -> None:
        """Check that they are an administrator; else raise NotAllowed."""
        if not self.is_admin:
            reason = "this is for administrators"
            raise NotAllowed(reason)


# Where authentication is off, whoever reaches the service is this caller.
_ALL = frozenset({EVERY})
ANYBODY = Caller(username=None, grants=(Grant(methods=_ALL, read=_ALL, write=_ALL, role="admin"),))
