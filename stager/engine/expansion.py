"""What is beneath a folder and fits a pattern, in the order of names; no symbolic link is followed."""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from stager.engine.control import Control
from stager.engine.mapping import unread
from stager.engine.source import READ_DIRECTORY, opened
from stager.engine.walk import refuse_too_deep
from stager.errors import InvalidPath, NotExpandable
from stager.paths import MAX_PATH_BYTES, Descriptor, Location
from stager.vocabulary import EVERYTHING


class Found(NamedTuple):
    """A path that fits, relative to the folder, and a regular file's size in bytes."""

    path: str
    size_bytes: int | None


def expanded(folder: Location, pattern: Sequence[str], *, control: Control, after: str = "") -> Iterator[Found]:
    """Yield what is beneath a folder and fits a pattern.

    A directory that fits is yielded as a whole, and not looked into. Where the
    pattern ends with ``**``, none does, and everything in it that is no directory
    is yielded. Memory is that of one directory's names for each level.

    Parameters
    ----------
    pattern
        Of each name on the way; ``**`` stands for any number of directories.
    control
        Says when to stop.
    after
        Only what comes after this path, which was yielded before.

    Raises
    ------
    SourceNotFound, SourceUnreadable, PathOutsideArea
        As the folder's path says; or a directory in it cannot be read.
    NotExpandable
        It is no directory.
    InvalidPath
        A directory in it is too deep, or a path in it too long.
    """
    with opened(folder) as found:
        if not found.is_directory:
            raise NotExpandable(folder.display, "it is no directory")
        look = _Look(folder.display, Pattern(pattern), control)
        yield from look.into(found.content, "", look.pattern.start, after=after.split("/") if after else [])


class Pattern:
    """A pattern, by the positions in it that the names on the way have reached."""

    def __init__(self, pattern: Sequence[str]) -> None:
        names: list[str] = []
        for name in pattern:
            if name != EVERYTHING or names[-1:] != [EVERYTHING]:  # one after another says no more
                names.append(name)
        self._fits: list[Callable[[str], object] | None] = [
            None if name == EVERYTHING else re.compile(fnmatch.translate(name)).match for name in names
        ]
        self.takes_directories = names[-1] != EVERYTHING
        self.start = self._with_skipped({0})

    def next(self, reached: frozenset[int], name: str) -> frozenset[int]:
        """Return what is reached by one more name."""
        passed: set[int] = set()
        for position in reached - {len(self._fits)}:
            fits = self._fits[position]
            if fits is None:
                passed.add(position)
            elif fits(name):
                passed.add(position + 1)
        return self._with_skipped(passed)

    def is_whole(self, reached: frozenset[int]) -> bool:
        """Return whether the pattern is at its end."""
        return len(self._fits) in reached

    def leads_to(self, names: Sequence[str]) -> bool:
        """Return whether these names, one in the other, are yielded as one path."""
        reached = self.start
        for name in names:
            if self.takes_directories and self.is_whole(reached):
                return False
            reached = self.next(reached, name)
        return self.is_whole(reached)

    def _with_skipped(self, reached: set[int]) -> frozenset[int]:
        """Add what is reached where a ``**`` stands for no directory."""
        for position, fits in enumerate(self._fits):
            if fits is None and position in reached:
                reached.add(position + 1)
        return frozenset(reached)


class _Look:
    """A look at all that fits; the folder's path is for messages."""

    def __init__(self, display: str, pattern: Pattern, control: Control) -> None:
        self._display = display
        self.pattern = pattern
        self._control = control

    def into(self, folder: Descriptor, path: str, reached: frozenset[int], *, after: list[str]) -> Iterator[Found]:
        """Yield what fits in a directory, whose path ends with a slash; what is beneath one comes in its place."""
        refuse_too_deep(self._display, path)
        first, *deeper = after or [""]
        names = self._names(folder, path)
        for name in names[bisect_left(names, first) :]:
            self._control.advance(0, 1)
            now = self.pattern.next(reached, name)
            status = self._status(folder, name, path) if now else None
            if status is None:
                continue
            is_passed = bool(after) and name == first
            if is_passed and not deeper:  # yielded before, whatever it is by now
                continue
            if stat.S_ISDIR(status.st_mode) and not (self.pattern.takes_directories and self.pattern.is_whole(now)):
                with self._opened(folder, name, path) as inner:
                    yield from self.into(inner, f"{path}{name}/", now, after=deeper if is_passed else [])
            elif self.pattern.is_whole(now):
                yield Found(self._short(path + name), status.st_size if stat.S_ISREG(status.st_mode) else None)

    def _short(self, path: str) -> str:
        if len(os.fsencode(path)) > MAX_PATH_BYTES:
            whole = f"{self._display}/{path}"
            raise InvalidPath(whole, f"it has more than {MAX_PATH_BYTES} bytes")
        return path

    def _names(self, folder: Descriptor, path: str) -> list[str]:
        try:
            return sorted(os.listdir(folder.fd))  # noqa: PTH208 - a descriptor has no path
        except OSError as error:
            raise unread(error, f"{self._display}/{path}") from error

    def _status(self, folder: Descriptor, name: str, path: str) -> os.stat_result | None:
        """Return the status of a name; None where it is gone by now."""
        try:
            return folder.status(name)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unread(error, f"{self._display}/{path}{name}") from error

    def _opened(self, folder: Descriptor, name: str, path: str) -> Descriptor:
        try:
            return folder.opened(name, READ_DIRECTORY)
        except OSError as error:
            raise unread(error, f"{self._display}/{path}{name}") from error
