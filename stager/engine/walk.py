"""Walks through trees, in the order of names; a directory comes after what is in it."""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from stager.errors import InvalidPath, StagingError
from stager.paths import Descriptor, LentFolder
from stager.slices.helpers import Helpers
from stager.slices.work import Slice, runs

MAX_DEPTH = 256  # a walk holds two descriptors a level


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A directory that the walk is in; its path in the product ends with a slash, the top's is empty."""

    path: str
    source: Descriptor
    destination: Descriptor | None = None


class Walk(ABC):
    """A walk that meets regular files in slices, which helpers may do, and takes all results in order.

    Parameters
    ----------
    display
        The path of what is walked, for messages.
    helpers
        Who does the slices.
    failed
        Makes the error of a call that failed on what is walked.
    """

    def __init__(self, display: str, helpers: Helpers, failed: Callable[[OSError, str], StagingError]) -> None:
        self.display = display
        self._helpers = helpers
        self._failed = failed

    def walk(self, folder: Folder) -> None:
        """Walk a directory; all results are taken once the helpers have finished."""
        refuse_too_deep(self.display, folder.path)
        try:
            found = runs(folder.source.fd)
        except OSError as error:
            raise self._failed(error, f"{self.display}/{folder.path}") from error
        for names, are_files in found:
            if are_files and not isinstance(folder.source, LentFolder):
                self._helpers.put(self._slice(folder, names), partial(self._take, folder))
            else:
                for name in names:
                    self._meet(folder, name)

    def _meet(self, folder: Folder, name: str) -> None:
        if stat.S_ISDIR(self._status(folder, name).st_mode):
            self._enter(folder, name)
        else:
            self._helpers.then(partial(self._other, folder, name))

    def _status(self, folder: Folder, name: str) -> os.stat_result:
        try:
            return folder.source.status(name)
        except OSError as error:
            raise self._failed(error, f"{self.display}/{folder.path}{name}") from error

    @abstractmethod
    def _slice(self, folder: Folder, names: list[str]) -> Slice:
        """Return the slice to do for some files."""

    @abstractmethod
    def _take(self, folder: Folder, work: Slice, results: list[Any]) -> None:
        """Take the results of a slice."""

    @abstractmethod
    def _other(self, folder: Folder, name: str) -> None:
        """Do something with an entry that is neither a directory nor in a slice."""

    @abstractmethod
    def _enter(self, folder: Folder, name: str) -> None:
        """Open a directory, walk it, and then leave it."""


def refuse_too_deep(display: str, path: str) -> None:
    """Raise `InvalidPath` for a directory that is deeper than `MAX_DEPTH`."""
    if path.count("/") > MAX_DEPTH:
        whole = f"{display}/{path}"
        raise InvalidPath(whole, f"more than {MAX_DEPTH} directories deep")
