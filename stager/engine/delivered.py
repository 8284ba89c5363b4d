"""Removal of what was delivered, unless somebody has changed it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

from stager.engine.compare import is_same_file
from stager.engine.fingerprint import fingerprint_with
from stager.engine.mapping import writing
from stager.engine.removal import refuse_irremovable
from stager.engine.rename import move
from stager.engine.source import READ_DIRECTORY, inode
from stager.engine.staged import Modes, Staged, close, remove_any
from stager.engine.staging_folder import StagingFolder
from stager.errors import DestinationDiffers, SourceError
from stager.paths import Location, Symlinks, open_location


def remove_delivered(
    destination: Location, *, fingerprint: str, confirm: Callable[[], None], source: Location | None = None
) -> bool:
    """Remove what was delivered: at one moment it has its name, at the next nothing has.

    It gets a temporary name, whose lock a sweep knows, and is removed under
    that: what a process that is killed leaves goes with the next sweep.

    Parameters
    ----------
    fingerprint
        What `Published` had. What has another one is not touched.
    confirm
        Called right before the rename. What it raises stops it.
    source
        Of a hard link: then a name of its very file is what was delivered, since any other
        name that the file gets or loses changes the fingerprint.

    Returns
    -------
    bool
        Whether something was there.

    Raises
    ------
    DestinationDiffers
        It is not what was delivered; it was not changed.
    DestinationNotWritable
        Something in it is another account's, or its folder is not the user's to write.
    DestinationError, StorageFault
        As the file system says.
    """
    with writing(destination):
        try:
            parent = open_location(destination.parent, READ_DIRECTORY, Symlinks.REFUSED)
        except FileNotFoundError:
            return False
        modes = Modes(file=0, directory=0, folder=0)  # nothing is made
        folder = StagingFolder(parent)
        staged = Staged(destination=destination, modes=modes, folder=folder, is_shared=source is not None)
        try:
            return _removed(staged, fingerprint, confirm, source)
        finally:
            close(staged)


def _removed(staged: Staged, fingerprint: str, confirm: Callable[[], None], source: Location | None) -> bool:
    parent, name = staged.parent.fd, staged.destination.name
    found = staged.status(name)
    if found is None:
        return False
    wanted = None if source is not None and _is_same_file(source, staged.destination) else fingerprint
    _refuse_changed(staged, name, found, wanted)
    if source is None:
        refuse_irremovable(parent, name)
    staged.name = staged.folder.take_name(staged.destination)
    confirm()
    move(parent, name, staged.name)
    try:
        _refuse_changed(staged, staged.name, found, wanted)
        os.fsync(parent)
    except BaseException:
        with suppress(OSError):
            move(parent, staged.name, name)
        raise
    remove_any(staged, staged.name)
    return True


def _refuse_changed(staged: Staged, name: bytes, found: os.stat_result, wanted: str | None) -> None:
    """Raise `DestinationDiffers` unless a name's status and, where that is wanted, its fingerprint are as they were."""
    now, display = staged.status(name), staged.destination.display
    is_same = now is not None and _facts(now) == _facts(found)
    if not is_same or wanted not in (None, fingerprint_with(staged.parent.fd, name, found, display)):
        raise DestinationDiffers(display, "it is not what was delivered, and stays")


def _facts(status: os.stat_result) -> tuple[object, ...]:
    """Return what a rename does not change: the fingerprint's facts without the ctime."""
    return inode(status), status.st_size, status.st_mtime_ns, status.st_mode


def _is_same_file(source: Location, destination: Location) -> bool:
    try:
        return is_same_file(source, destination)
    except SourceError:
        return False
