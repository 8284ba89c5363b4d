"""How the check of another server is told, for whoever connects it: by the registration, and by a program."""

from __future__ import annotations

import sys
from collections.abc import Callable

from stager.errors import StagingError


def finding(title: str, name: str, check: Callable[[], str]) -> str:
    """Return what a check has found out about a server that is named, also where something is wrong with it."""
    try:
        return f"{title} {name!r}: {check()}"
    except StagingError as error:
        return f"{title} {name!r}: {error.message}"


def run_check(check: Callable[[str], str], *, default: str) -> None:
    """Check the server that the command line names, or the default one, and fail where something is wrong."""
    name = sys.argv[1] if len(sys.argv) > 1 else default
    try:
        print(check(name))
    except StagingError as error:
        sys.exit(error.message)
