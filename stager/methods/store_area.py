"""The buckets that an operator gives users, and what is theirs in them."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Self

from pydantic import Field, model_validator

from stager.errors import ConfigurationError
from stager.identity import NAME
from stager.peers.s3.connection import StoreConnection

EVERYBODY_ELSE = "*"
USERNAME = "{username}"


class StoreArea(StoreConnection):
    """An object store into which users' data are brought, each user's to a bucket or a prefix of their own."""

    buckets: dict[str, str] = Field(
        {},
        title="Users' own buckets",
        description='For users who have a bucket to themselves: {"alice": "alice-data"}. '
        'The user * is everybody else: {"*": "{username}-data"}. '
        "Where none is named, it is the bucket above, whose prefix has {username} in it then.",
    )
    retention_days: float = Field(
        0,
        ge=0,
        le=36_500,
        title="Days of retention",
        description="For how long nothing that was brought there can be replaced or deleted, where the bucket has "
        "object lock (mode GOVERNANCE); 0 for no retention.",
    )
    max_transfers: int = Field(
        64,
        ge=1,
        le=1024,
        title="Transfers at once",
        description="How many files and directories are brought to its store at a time, by all flow runs together; "
        "of one user no more than half as many. Others wait.",
    )
    max_bytes_per_second: int = Field(
        0,
        ge=0,
        title="Bytes per second",
        description="How fast all transfers to its store are together; 0 for as fast as they can.",
    )

    @model_validator(mode="after")
    def _check_that_each_user_has_their_own(self) -> Self:
        if USERNAME in self.prefix:
            return self
        if USERNAME not in self.buckets.get(EVERYBODY_ELSE, ""):
            reason = (
                "users would write over each other's data: {username} has to be in the prefix, or in the name for *"
            )
            raise ValueError(reason)
        if self._may_be_shared():
            reason = "two users have the same bucket: then {username} has to be in the prefix"
            raise ValueError(reason)
        return self

    def _may_be_shared(self) -> bool:
        """Tell whether two users who are named have one bucket, or one has that of somebody who is not named."""
        template = re.escape(self.buckets[EVERYBODY_ELSE].rpartition(":")[2])
        first, *others = template.split(re.escape(USERNAME))
        of_others = re.compile(f"{first}(?P<user>{NAME.pattern}){'(?P=user)'.join(others)}", re.ASCII | re.IGNORECASE)
        tenants: dict[str, list[str]] = defaultdict(list)
        for user, said in self.buckets.items():
            if user != EVERYBODY_ELSE and said:
                tenant, _, name = said.replace(USERNAME, user).rpartition(":")
                tenants[name.lower()].append(tenant)
                if (found := of_others.fullmatch(name)) and found["user"] != user:
                    return True
        return any(len(found) > 1 and ("" in found or len({*found}) < len(found)) for found in tenants.values())

    def of_user(self, username: str) -> Self:
        """Return what a user has: one bucket, and one prefix in it, which is empty where the bucket is theirs.

        Raises
        ------
        ConfigurationError
            What the operator says makes no name of a bucket, or no key.
        """
        template = self.buckets.get(username) or self.buckets.get(EVERYBODY_ELSE) or self.bucket
        said = {"bucket": template.replace(USERNAME, username), "prefix": self.prefix_of(username)}
        try:
            own = StoreConnection.model_validate({**StoreConnection.model_validate(vars(self)).__dict__, **said})
        except ValueError as error:
            raise ConfigurationError(self.title, f"user {username} can have nothing there: {error}") from error
        return self.model_copy(update={"bucket": own.bucket, "prefix": own.prefix})
