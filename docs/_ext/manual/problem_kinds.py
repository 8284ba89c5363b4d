"""The kinds of problems as a table, from the tree of errors."""

from __future__ import annotations

from collections.abc import Iterator

from stager.errors import StagingError
from stager.http.problems import slug, title

TABLE = "| kind | status | the same call may succeed later | who can mend it | meaning |\n|---|---|---|---|---|\n"
MENDS = {"you": "you", "operator": "the operator", "nobody": "nobody: wait"}


def problem_kinds() -> str:
    """Return a table: a row for each class of error that a caller can meet, by status and by its name in an address."""
    return TABLE + "".join(_row(kind) for kind in sorted(_below(StagingError), key=_order))


def _order(kind: type[StagingError]) -> tuple[int, str]:
    return kind.http_status, slug(kind)


def _below(kind: type[StagingError]) -> Iterator[type[StagingError]]:
    for below in kind.__subclasses__():
        if below.__module__ == StagingError.__module__:
            yield below
            yield from _below(below)


def _row(kind: type[StagingError]) -> str:
    again = "yes" if kind.retryable else "no"
    return f"| `{slug(kind)}` | {kind.http_status} | {again} | {MENDS[kind.mended_by]} | {title(kind)} |\n"
