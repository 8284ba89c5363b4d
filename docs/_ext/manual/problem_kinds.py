"""The kinds of problems as a table, from the tree of errors."""

from __future__ import annotations

from stager.errors import StagingError
from stager.http.problems import KINDS_OF_PROBLEMS, title

TABLE = "| kind | status | the same call may succeed later | who can mend it | meaning |\n|---|---|---|---|---|\n"
MENDS = {"you": "you", "operator": "the operator", "nobody": "nobody: wait"}


def problem_kinds() -> str:
    """Return a table: a row for each class of error that a caller can meet, by status and by its name in an address."""
    by_status = sorted(KINDS_OF_PROBLEMS.items(), key=lambda named: named[1].http_status)
    return TABLE + "".join(_row(name, kind) for name, kind in by_status if kind is not StagingError)


def _row(name: str, kind: type[StagingError]) -> str:
    again = "yes" if kind.retryable else "no"
    return f"| `{name}` | {kind.http_status} | {again} | {MENDS[kind.mended_by]} | {title(kind)} |\n"
