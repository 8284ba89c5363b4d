"""Owner and read-only modes, set on descriptors; never on the source."""

from __future__ import annotations

import os
import stat

from stager.engine.fingerprint import contents_of
from stager.engine.kernel import chown_opened
from stager.engine.mapping import writing
from stager.engine.source import READ, inode, kind_in_words
from stager.engine.staged import Ownership, Staged
from stager.errors import DestinationDiffers, DestinationTampered
from stager.paths import Descriptor, Location, Symlinks, open_location


def seal(staged: Staged) -> None:
    """Give what is staged its owner and its read-only mode, while it is out of sight still.

    What is in a tree has both already; its top gets them last: until then
    nobody but us can enter. A link's target and an inode shared with the
    source are left as they are. It may be repeated.

    Raises
    ------
    DestinationTampered
        The temporary name is not of what was transferred any more.
    DestinationNotWritable, StorageFault
        As the file system says.
    """
    display = staged.destination.display
    with writing(display):
        flags = os.O_PATH | os.O_NOFOLLOW if staged.kind == "symlink" or staged.is_shared else READ
        with Descriptor(os.open(staged.name, flags, dir_fd=staged.parent.fd)) as top:
            if inode(os.fstat(top.fd)) != staged.inode:
                raise DestinationTampered(display, "the temporary name is of something else")
            _seal_opened(staged, top)
            staged.sealed = os.fstat(top.fd)


def _seal_opened(staged: Staged, top: Descriptor) -> None:
    ownership = staged.ownership
    if staged.is_shared:
        return
    if staged.kind == "symlink":
        if ownership.ids != (-1, -1):
            chown_opened(top.fd, *ownership.ids)
        return
    if staged.kind == "directory":
        staged.contents = staged.contents or contents_of(top, staged.destination.display)
    mode = ownership.directory_mode if staged.kind == "directory" else ownership.file_mode
    _settle(top.fd, mode=mode, to=ownership)


def _settle(descriptor: int, *, mode: int, to: Ownership) -> os.stat_result:
    status = os.fstat(descriptor)
    if not _has_owner(status, to):
        os.fchown(descriptor, *to.ids)
    if stat.S_IMODE(status.st_mode) != mode:
        os.fchmod(descriptor, mode)
    return os.fstat(descriptor)


def _has_owner(status: os.stat_result, to: Ownership) -> bool:
    return to.uid in (None, status.st_uid) and to.gid in (None, status.st_gid)


def repair(destination: Location, ownership: Ownership) -> None:
    """Set owner and modes of a product that is there already and identical.

    Only what is the user's already, or ours under one name alone, is
    changed, through its descriptor: neither a hard link to a source nor
    somebody else's file that was moved there.

    Raises
    ------
    DestinationDiffers
        It is neither a file nor a directory any more.
    DestinationNotWritable, StorageFault
        As the file system says.
    """
    with writing(destination.display), open_location(destination, READ, Symlinks.REFUSED) as top:
        _repair(top.fd, destination.display, ownership)


def _repair(opened: int, display: str, ownership: Ownership) -> None:
    status = os.fstat(opened)
    if stat.S_ISDIR(status.st_mode):
        _repair_contents(opened, display, ownership)
    elif not stat.S_ISREG(status.st_mode):
        raise DestinationDiffers(display, f"it is {kind_in_words(status.st_mode)}")
    mode = ownership.directory_mode if stat.S_ISDIR(status.st_mode) else ownership.file_mode
    if _may_repair(status, ownership):
        _settle(opened, mode=mode, to=ownership)


def _repair_contents(directory: int, display: str, ownership: Ownership) -> None:
    for name in os.listdir(directory):
        mode = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            with Descriptor(os.open(name, READ, dir_fd=directory)) as entry:
                _repair(entry.fd, f"{display}/{name}", ownership)


def _may_repair(status: os.stat_result, to: Ownership) -> bool:
    if status.st_uid == to.uid:
        return True
    return status.st_uid == os.geteuid() and (status.st_nlink == 1 or stat.S_ISDIR(status.st_mode))
