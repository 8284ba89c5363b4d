"""Identities: from a user's name to the account that their files are written as.

Accounts come from the system (NSS) or from a file of the operator's; none is
ever made. Only root can give files away: run as anybody else but the user, the
service keeps everything as its own user, and says so.
"""

from __future__ import annotations

import os
import pwd
import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from stager.errors import ConfigurationError, InvalidUserName, SystemAccount, UserDoesNotExist

# useradd(8), with the upper-case letters, digits in front, dots and realms
# (user@SITE) that directories hand out. Never what a path or an option could
# be: it begins with a letter, a digit or an underscore.
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}\$?", re.ASCII)
# The uid that system calls take for "leave as it is" is not a user's.
AccountId = Annotated[int, Field(ge=0, lt=2**32 - 1)]


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The account that a user's files are written as.

    Attributes
    ----------
    groups
        All the user's groups, the first one too; none of the system's own.
    acting_as
        The account in words, for receipts and logs.
    owns_files
        Whether files really become the user's: the process is the user, or
        root, which can give them away.
    """

    username: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    acting_as: str
    owns_files: bool


def resolve(username: str, *, users_file: Path | None = None, least_id: int = 0) -> Identity:
    """Return the account of a user.

    Parameters
    ----------
    username
        The user's name; it is checked before anything is done with it.
    users_file
        A TOML file of users; without it, the system's accounts count. It is
        read again whenever it changed.
    least_id
        The least uid and gid of a user. Further groups below it are left out:
        what they open (disks, logs, containers) is the system's own business.

    Raises
    ------
    InvalidUserName
        No account can have that name.
    UserDoesNotExist
        Nobody has that name.
    SystemAccount
        The account's uid or first gid is below the least.
    ConfigurationError
        The users file is missing or broken.
    """
    if not NAME.fullmatch(username):
        raise InvalidUserName(username)
    account = _from_system(username) if users_file is None else _from_file(username, users_file)
    for what, found in (("uid", account.uid), ("gid", account.gid)):
        if found < least_id:
            raise SystemAccount(username, what, found=found, least=least_id)
    return Identity(
        username=username,
        uid=account.uid,
        gid=account.gid,
        groups=tuple(sorted({account.gid, *(group for group in account.groups if group >= least_id)})),
        acting_as=_in_words(username, account),
        owns_files=_is_or_serves(account),
    )


class UsersFileEntry(BaseModel):
    """A user's table in the users file: ``[users.alice]``."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    uid: AccountId
    gid: AccountId
    groups: list[AccountId] = []


class _Users(BaseModel):
    model_config = ConfigDict(extra="forbid")

    users: dict[str, UsersFileEntry] = {}


def _from_system(username: str) -> UsersFileEntry:
    try:
        entry = pwd.getpwnam(username)
    except KeyError:
        raise UserDoesNotExist(username) from None
    # NSS may ignore case, and return another name than was asked for.
    if entry.pw_name != username:
        raise UserDoesNotExist(username)
    groups = os.getgrouplist(username, entry.pw_gid)
    return UsersFileEntry(uid=entry.pw_uid, gid=entry.pw_gid, groups=groups)


def _from_file(username: str, users_file: Path) -> UsersFileEntry:
    try:
        about = users_file.stat()
        users = _read(users_file, (about.st_ino, about.st_size, about.st_mtime_ns))
    except OSError as error:
        raise ConfigurationError(users_file, error.strerror or str(error)) from error
    if username not in users:
        raise UserDoesNotExist(username)
    return users[username]


@lru_cache(maxsize=4)
def _read(users_file: Path, _version: tuple[int, int, int]) -> dict[str, UsersFileEntry]:
    text = users_file.read_bytes()
    try:
        return TypeAdapter(_Users).validate_python(tomllib.loads(text.decode())).users
    except ValidationError as error:
        raise ConfigurationError(users_file, _where_invalid(text.decode(), error)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:  # the message of the first has the line
        raise ConfigurationError(users_file, str(error)) from error


def _where_invalid(text: str, error: ValidationError) -> str:
    """Return the first mistake, and the line in which the table with it begins."""
    first = error.errors(include_url=False)[0]
    place = [str(part) for part in first["loc"]]
    user = place[1] if len(place) > 1 else place[0]
    header = re.compile(rf"^\s*(\[.*\b{re.escape(user)}\b.*\]|{re.escape(user)}\s*=)")
    line = next((number for number, words in enumerate(text.splitlines(), 1) if header.match(words)), 1)
    return f"line {line}: {'.'.join(place)}: {first['msg']}"


def _is_or_serves(account: UsersFileEntry) -> bool:
    groups = {os.getegid(), *os.getgroups()}
    return os.geteuid() == 0 or (os.geteuid() == account.uid and account.gid in groups)


def _in_words(username: str, account: UsersFileEntry) -> str:
    if _is_or_serves(account):
        return f"{username} (uid {account.uid}, gid {account.gid})"
    uid = os.geteuid()
    try:
        running = pwd.getpwuid(uid).pw_name
    except KeyError:
        running = "without a name"
    return f"running user {running} (uid {uid}): not root, so files stay with it"
