"""Permission bits that an operator may set, in octal."""

from __future__ import annotations

import stat
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator


def _octal(value: object) -> object:
    return int(value, 8) if isinstance(value, str) else value


def _read_only(mode: int) -> int:
    if mode & 0o222 or mode & ~0o777:
        message = f"{mode:04o} is not a read-only mode"
        raise ValueError(message)
    return mode


def _for_its_owner(mode: int) -> int:
    if mode & stat.S_IRWXU != stat.S_IRWXU or mode & ~(stat.S_ISGID | 0o775):
        message = f"{mode:04o} is not a mode of a folder that its owner can use and not everybody can write to"
        raise ValueError(message)
    return mode


ReadOnlyMode = Annotated[int, BeforeValidator(_octal), AfterValidator(_read_only)]
FolderMode = Annotated[int, BeforeValidator(_octal), AfterValidator(_for_its_owner)]
