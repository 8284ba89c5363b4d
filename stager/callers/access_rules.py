"""The rules of the access file: which issuers' tokens are accepted, and what groups and users may do."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from stager.errors import ConfigurationError, RequestError
from stager.models import AREA_NAME, Frozen
from stager.paths import locate

UserName = Annotated[str, Field(min_length=1)]
# Stands in a list of names for all names.
EVERY = "*"
# To read: stage or download from an area. To write: stage to it.
Direction = Literal["read", "write"]
# The names that a path is made of, outermost first; no names mean the area itself.
Parts = tuple[bytes, ...]
ALL_OF_IT: frozenset[Parts] = frozenset({()})
# Signature algorithms with a key that only the issuer has. Neither "none" nor a shared
# secret (HS256) is ever accepted: RFC 8725, sections 3.1 and 3.2.
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


def _to_read(entry: str) -> str:
    """Check an entry of ``read``: an area, all areas, or an area and a prefix."""
    area, colon, prefix = entry.partition(":")
    if colon and not (re.fullmatch(AREA_NAME, area) and _is_plain(prefix)):
        message = (
            f"{entry!r} is not area:prefix, where the prefix is a path in that area:"
            " no slash at either end, no empty name, no . and no .."
        )
        raise ValueError(message)
    return entry


def _whole(entry: str) -> str:
    """Check an entry of ``write`` or ``areas``: an area, or all areas."""
    if ":" in entry:
        message = f"{entry!r} has a prefix: only read takes area:prefix"
        raise ValueError(message)
    return entry


def _is_plain(prefix: str) -> bool:
    try:
        return b"/".join(locate(Path("/"), prefix).parts) == os.fsencode(prefix)
    except RequestError:
        return False


WholeArea = Annotated[str, AfterValidator(_whole)]


class Grant(Frozen):
    """What a group or user may do; whoever has several grants may do all of it."""

    methods: frozenset[str] = frozenset()
    read: frozenset[Annotated[str, AfterValidator(_to_read)]] = Field(
        frozenset(), description="Areas, or `area:prefix`: only what is at that path of the area, or beneath it."
    )
    write: frozenset[WholeArea] = frozenset()
    areas: frozenset[WholeArea] = Field(
        frozenset(),
        description="For older files, whose areas had no direction: to read and, `user` alone, to write.",
    )
    role: Literal["service", "admin"] | None = None

    def may_use(self, area: str, direction: Direction) -> bool:
        """Return whether a storage area, or a part of it, is granted in a direction."""
        if direction == "read":
            return bool(self.prefixes(area))
        return not (self.write | self.areas & {"user"}).isdisjoint((area, EVERY))

    def prefixes(self, area: str) -> frozenset[Parts]:
        """Return the paths of an area at and beneath which it allows to read; none means nothing of it."""
        if not (self.read | self.areas).isdisjoint((area, EVERY)):
            return ALL_OF_IT
        start = f"{area}:"
        beneath = (entry.removeprefix(start) for entry in self.read if entry.startswith(start))
        return frozenset(tuple(os.fsencode(prefix).split(b"/")) for prefix in beneath)


class IssuerRules(Frozen):
    """An issuer whose tokens are accepted, and how they are read."""

    url: str = Field(pattern=r"^https?://[^\s?#]+$", description="The iss of its tokens, to the letter.")
    audiences: tuple[str, ...] = Field(min_length=1, description="The audiences of which a token must name one.")
    profile: Literal["rfc9068", "iam", "wlcg"] = "rfc9068"
    algorithms: tuple[Algorithm, ...] = Field(("RS256", "ES256"), min_length=1)
    leeway: int = Field(30, ge=0, le=300, description="How much clocks may differ, in seconds.")
    username_claim: str = "sub"
    names: dict[str, UserName] = Field(default_factory=dict, description="User names by that claim's value.")
    subjects: dict[str, UserName] | None = Field(
        None, description="User names by the token's sub, which is looked up first and is never given to somebody else."
    )
    userinfo: bool = Field(default=False, description="Ask the issuer for claims that the token does not have.")

    def user_of(self, subject: str, name: object) -> str | None:
        """Return the user name that the file has for a token's sub, or else for its claim; None if it has none."""
        found = (self.subjects or {}).get(subject)
        return found if found or not isinstance(name, str) else self.names.get(name)

    @property
    def has_tables(self) -> bool:
        """Whether only those who are in the file's tables are users."""
        return bool(self.names or self.subjects)

    @property
    def groups_claim(self) -> str:
        """The claim with the groups (WLCG Common JWT Profiles; RFC 9068, section 2.2.3.1)."""
        return "wlcg.groups" if self.profile == "wlcg" else "groups"

    @property
    def token_types(self) -> frozenset[str]:
        """The accepted typ of a token's header: only RFC 9068 marks access tokens by it."""
        by_type = {"at+jwt", "application/at+jwt"}
        return frozenset(by_type if self.profile == "rfc9068" else {*by_type, "jwt", ""})


class Rules(Frozen):
    """All rules of the access file."""

    issuers: tuple[IssuerRules, ...] = Field(min_length=1)
    everyone: Grant = Grant()
    groups: dict[str, Grant] = Field(default_factory=dict)
    users: dict[str, Grant] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _issuers_differ(self) -> Self:
        if len({issuer.url for issuer in self.issuers}) < len(self.issuers):
            message = "two issuers have one url"
            raise ValueError(message)
        return self

    def grants(self, username: str, groups: Collection[str]) -> tuple[Grant, ...]:
        """Return the grants of a user with some groups."""
        by_group = (self.groups[group] for group in groups if group in self.groups)
        by_name = (self.users[username],) if username in self.users else ()
        return (self.everyone, *by_group, *by_name)

    def upgrades(self) -> Iterator[str]:
        """Yield sentences on what an older file says that has another meaning now."""
        for issuer in self.issuers:
            if issuer.names and issuer.subjects is None and issuer.username_claim != "sub":
                yield (
                    f"names of {issuer.url} counts for values of {issuer.username_claim} alone: move what is a token's"
                    " sub to [issuers.subjects], or write an empty one if there is none"
                )
        tables = {"groups": self.groups, "users": self.users}
        named = {f"{table}.{name}": grant for table, some in tables.items() for name, grant in some.items()}
        for place, grant in {"everyone": self.everyone, **named}.items():
            if EVERY in grant.areas and not grant.write and "user" not in grant.areas:
                yield f'areas = ["*"] of [{place}] lets nobody stage to any area: say write = ["user"] too'


def read_rules(file: Path) -> Rules:
    """Return the rules in the access file.

    Raises
    ------
    ConfigurationError
        The file is missing or broken.
    """
    try:
        return Rules.model_validate(tomllib.loads(file.read_text()))
    except OSError as error:
        raise ConfigurationError(file, error.strerror or str(error)) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(file, f"{place}: {first['msg']}" if place else first["msg"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(file, str(error)) from error
