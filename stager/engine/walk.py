"""A walk through a tree: by name within a directory, each directory after what is in it."""

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
    """Regular files are met in slices, which others may do meanwhile; all is taken in order.

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
        """Put in all that is in a directory; it is all taken when the helpers have finished."""
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
        """Return what is to be done with some files."""

    @abstractmethod
    def _take(self, folder: Folder, work: Slice, results: list[Any]) -> None:
        """Take what came of it."""

    @abstractmethod
    def _other(self, folder: Folder, name: str) -> None:
        """Do what is to be done with something that is no directory, and in no slice."""

    @abstractmethod
    def _enter(self, folder: Folder, name: str) -> None:
        """Open a directory, walk it, and then leave it."""


def refuse_too_deep(display: str, path: str) -> None:
    """Raise `InvalidPath` for a directory deeper than descriptors allow."""
    if path.count("/") > MAX_DEPTH:
        whole = f"{display}/{path}"
        raise InvalidPath(whole, f"more than {MAX_DEPTH} directories deep")
