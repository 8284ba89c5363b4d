"""Read-only modes, set on descriptors; never on the source."""

from __future__ import annotations

import os
import stat

from stager.engine.fingerprint import contents_of
from stager.engine.mapping import writing
from stager.engine.source import READ, inode, kind_in_words
from stager.engine.staged import Modes, Staged
from stager.errors import DestinationDiffers, DestinationTampered
from stager.paths import Descriptor, Location, Symlinks, open_location
from stager.slices.copying import set_mode


def seal(staged: Staged) -> None:
    """Give what is staged its read-only modes, while it has its temporary name still.

    What is in a tree has it already; its top gets it last. A link's target and an inode shared with the
    source are left as they are. It may be repeated.

    Raises
    ------
    DestinationTampered
        The temporary name is not of what was transferred any more.
    DestinationNotWritable, StorageFault
        As the file system says.
    """
    with writing(staged.destination):
        flags = os.O_PATH | os.O_NOFOLLOW if staged.kind == "symlink" or staged.is_shared else READ
        with Descriptor(os.open(staged.name, flags, dir_fd=staged.parent.fd)) as top:
            if inode(os.fstat(top.fd)) != staged.inode:
                raise DestinationTampered(staged.destination.display, "the temporary name is of something else")
            _seal_opened(staged, top)
            staged.sealed = os.fstat(top.fd)


def _seal_opened(staged: Staged, top: Descriptor) -> None:
    if staged.is_shared or staged.kind == "symlink":
        return
    if staged.kind == "directory":
        staged.contents = staged.contents or contents_of(top, staged.destination.display)
    mode = staged.modes.directory if staged.kind == "directory" else staged.modes.file
    set_mode(top.fd, os.fstat(top.fd), mode)


def repair(destination: Location, modes: Modes) -> None:
    """Set the modes of an identical product that is at the destination already.

    Only what is the running account's, under one name alone, is changed,
    through its descriptor: neither a hard link to a source nor what another
    account has put there.

    Raises
    ------
    DestinationDiffers
        It is neither a file nor a directory any more.
    DestinationNotWritable, StorageFault
        As the file system says.
    """
    with writing(destination), open_location(destination, READ, Symlinks.REFUSED) as top:
        _repair(top.fd, destination.display, modes)


def _repair(opened: int, display: str, modes: Modes) -> None:
    status = os.fstat(opened)
    is_directory = stat.S_ISDIR(status.st_mode)
    if is_directory:
        _repair_contents(opened, display, modes)
    elif not stat.S_ISREG(status.st_mode):
        raise DestinationDiffers(display, f"it is {kind_in_words(status.st_mode)}")
    if status.st_uid == os.geteuid() and (is_directory or status.st_nlink == 1):
        set_mode(opened, status, modes.directory if is_directory else modes.file)


def _repair_contents(directory: int, display: str, modes: Modes) -> None:
    for name in os.listdir(directory):
        mode = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            with Descriptor(os.open(name, READ, dir_fd=directory)) as entry:
                _repair(entry.fd, f"{display}/{name}", modes)
