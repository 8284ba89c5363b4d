"""What a mover says that it found, checked: it may have been made to say anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stager.engine import Found, Pattern
from stager.mover.channel import ConnectionLost

NOT_ASKED_FOR = "named what it was not asked for"


class Findings:
    """Passes on what a mover found, if `engine.expanded` may have yielded it.

    Every path is a proper one that the pattern leads to, comes after all
    before it, and lies in none of them.

    Parameters
    ----------
    pattern, after
        As in `engine.expanded`.
    taken
        Is given what is passed on.
    """

    def __init__(self, pattern: Sequence[str], *, after: str, taken: Callable[[Sequence[Found]], None]) -> None:
        self._pattern, self._taken = Pattern(pattern), taken
        self._last = after.split("/") if after else []

    def __call__(self, found: Sequence[Found]) -> None:
        """Pass on what was found; raise `ConnectionLost` where that cannot be."""
        for one in found:
            self._check(one.path)
        self._taken(found)

    def _check(self, path: str) -> None:
        names, last = path.split("/"), self._last
        is_proper = not {"", ".", ".."} & {*names} and _is_of_bytes(path)
        is_next = names > last and (not last or names[: len(last)] != last)
        if not (is_proper and is_next and self._pattern.leads_to(names)):
            raise ConnectionLost(NOT_ASKED_FOR)
        self._last = names


def _is_of_bytes(path: str) -> bool:
    try:
        path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True
