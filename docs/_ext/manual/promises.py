"""What each method promises, as a table."""

from __future__ import annotations

from stager.methods import Promise
from stager.methods.all_methods import METHODS

HEAD = """| method | appears | kept from changes by | verified by | needs an account there | items at once |
|---|---|---|---|---|---|
"""
KEPT_BY = {
    "mode": "its mode",
    "retention": "the store's retention",
    "kernel": "its mode, set by a kernel of the notebook server",
    "nothing": "nothing",
}


def promises() -> str:
    """Return a table: a row for each method."""
    return HEAD + "".join(_row(name, method.promise) for name, method in METHODS.items())


def _row(name: str, promise: Promise) -> str:
    appears = "at one moment" if promise.publishes_atomically else "file by file, its manifest last"
    account = "yes" if promise.needs_account else "no"
    kept_by = KEPT_BY[promise.read_only_by]
    return f"| `{name}` | {appears} | {kept_by} | {promise.verified_by} | {account} | {promise.width} |\n"
