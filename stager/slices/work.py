"""Slices: names of a directory, and what is to be done with them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from stager.paths import Descriptor
from stager.slices.copying import CopyTerms, Unread, Unwritten, copy_file, remove_if_there
from stager.slices.helper import Order
from stager.slices.looking import look

_NAMES = 256  # at most: few enough to be shared out evenly, enough to be worth a message


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Some names of a directory, to be copied, or only looked at if there is no destination.

    ``path`` is the directory's in the product, with a slash at its end. The
    directories are open as long as a slice holds them.
    """

    names: list[str]
    path: str
    source: Descriptor
    destination: Descriptor | None = None
    terms: CopyTerms | None = None

    @property
    def order(self) -> Order:
        """The order for a helper."""
        return self.names, self.path, self.terms and tuple(self.terms)

    def done(self, on_each: Callable[[], None]) -> list[Any]:
        """Do it in this process; return what `copy_file` returns of each name, or `look` of all.

        Raises
        ------
        Unread, Unwritten
            Their ``path`` is the file's in the product.
        """
        if self.destination is None or self.terms is None:
            on_each()
            return look(self.source.fd, self.names)
        results = []
        for name in self.names:
            try:
                results.append(copy_file(self.source.fd, self.destination.fd, name, self.terms))
            except (Unread, Unwritten) as error:
                error.path = self.path + name
                raise
            on_each()
        return results

    def undo(self) -> None:
        """Remove what a helper that died may have left of it."""
        if self.destination is not None:
            for name in self.names:
                remove_if_there(self.destination.fd, name)


def runs(directory: int) -> Iterator[tuple[list[str], bool]]:
    """Return a directory's sorted names, in runs of regular files (True) and of others.

    What a name is, readdir(3) says; it may be another thing when it is opened.
    """
    names, others = [], set()
    with os.scandir(directory) as entries:
        for entry in entries:
            names.append(entry.name)
            if not entry.is_file(follow_symlinks=False):
                others.add(entry.name)
    names.sort()
    return _cut(names, others)


def _cut(names: list[str], others: set[str]) -> Iterator[tuple[list[str], bool]]:
    run: list[str] = []
    for name in names:
        if run and (len(run) == _NAMES or (name in others) != (run[0] in others)):
            yield run, run[0] not in others
            run = []
        run.append(name)
    if run:
        yield run, run[0] not in others
