"""What is left at a notebook server of what was not published, or was to be replaced, and how that ends."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from contextlib import suppress

from stager.errors import Cancelled, DestinationError, PeerRefused, StagingError
from stager.methods.method import LivingAmong
from stager.methods.notebook_path import NotebookPath
from stager.methods.notebook_staged import LEFTOVER, NotebookStaged, name_aside, remove
from stager.methods.product_files import below
from stager.peers.connections import given_up_after
from stager.peers.jupyter import Contents

# How long what is left of one item may take to be removed, and that of all, in seconds: the server is its user's.
DISCARD_SECONDS = 60.0
DISCARD_ALL_SECONDS = 120.0
# Leftovers in a folder that one sweep looks at: their names are the user's to choose.
MOST_SWEPT = 1000


def put_back(contents: Contents, staged: NotebookStaged) -> None:
    """Undo half a replacement, if there is one."""
    if staged.is_put_aside:
        staged.is_put_aside = not _undone(contents, staged.temporary, staged.place.path)


def discard(contents: Contents, staged: NotebookStaged) -> bool:
    """Remove what was replaced, or what was not published with the folders that were made for it and are empty.

    Returns
    -------
    bool
        Whether nothing is left to do; else it may be done again.
    """
    try:
        with given_up_after(DISCARD_SECONDS, contents.title):
            try:
                _discard(contents, staged)
            except Cancelled:  # who is left is told that once, which may be here
                _discard(contents, staged)
    except StagingError as error:
        return not error.retryable
    return True


def _discard(contents: Contents, staged: NotebookStaged) -> None:
    if not staged.is_published:
        put_back(contents, staged)
        remove(contents, staged.temporary)
        for folder in reversed(staged.made):
            if not contents.remove_directory(folder):
                break
    elif staged.is_put_aside:
        remove(contents, staged.aside)


class Leftovers:
    """What could not be discarded, because its server was away."""

    def __init__(self) -> None:
        self._left: list[NotebookStaged] = []

    def discard(self, contents: Contents, staged: NotebookStaged) -> None:
        """Discard it, or remember it: the next may need its room."""
        if not discard(contents, staged):
            self._left.append(staged)

    def discard_again(self, running: Callable[[NotebookPath], Contents | None]) -> None:
        """Discard what is remembered, as far as its server is there again.

        Parameters
        ----------
        running
            Gives the files of a server that runs.
        """
        with given_up_after(DISCARD_ALL_SECONDS, "The notebook server"):
            for staged in list(self._left):
                contents = running(staged.place)
                if contents is None or not discard(contents, staged):
                    return
                with suppress(ValueError):  # another item's thread did the same
                    self._left.remove(staged)


def sweep(contents: Contents, folder: NotebookPath, *, living: LivingAmong) -> int:
    """Remove the temporary names in a folder, and undo half replacements, but for those of living runs."""
    found = list(filter(None, (LEFTOVER.fullmatch(entry.name) for entry in contents.list(folder.path))))
    found.sort(key=lambda one: not one["replaced"])  # first: whether it was, its temporary name tells
    del found[MOST_SWEPT:]
    alive = living({one["digits"] for one in found})
    return sum(_swept(contents, folder, one) for one in found if one["digits"] not in alive)


def _swept(contents: Contents, folder: NotebookPath, found: re.Match[str]) -> bool:
    path, temporary = ("/".join((*folder.names, found[which])) for which in (0, "temporary"))
    try:
        if found["replaced"] and _undone(contents, temporary, "/".join((*folder.names, found["replaced"]))):
            return True
        remove(contents, path)
    except (DestinationError, PeerRefused):  # somebody else's, or a kernel would be needed: it stays
        return False
    return True


def _undone(contents: Contents, temporary: str, path: str) -> bool:
    """Give what was to be replaced its name back, and return True; False where it has been replaced.

    If something else has the name by now, it stays under one that is nobody's leftover.

    Parameters
    ----------
    temporary
        Path of what was to replace it: as long as that is there, it has not.
    path
        What it had.
    """
    folder, _, name = path.rpartition("/")
    aside = name_aside(temporary, name)
    if contents.look(aside) is None:
        return True
    if contents.look(path) is None:
        contents.rename(aside, path)
    elif contents.look(temporary) is not None:
        kept = f"stager-kept-{secrets.token_hex(8)}-{name}"
        contents.rename(aside, below(folder, kept))
    else:
        return False
    return True
