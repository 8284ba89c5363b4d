"""Opening a path that cannot leave a directory: `openat2`, or a walk where the kernel lacks it."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Sequence
from enum import Enum
from functools import cache

from stager.paths.location import names_in

_OPENAT2 = 437  # the same on every architecture (Linux 5.6)
_NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH = 0x02, 0x04, 0x08
_MAX_LINKS = 40  # what the kernel allows, path_resolution(7)
_MAX_ATTEMPTS = 64
_PATH_MAX = 4096  # bytes that one call takes, with the NUL, path_resolution(7)

Opener = Callable[[int, Sequence[bytes], int, "Symlinks"], int]


class Symlinks(Enum):
    """How symbolic links in a path are treated, the last component included."""

    FOLLOWED_BENEATH = _BENEATH | _NO_MAGICLINKS
    REFUSED = _BENEATH | _NO_MAGICLINKS | _NO_SYMLINKS


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def open_beneath(directory: int, parts: Sequence[bytes], flags: int, symlinks: Symlinks) -> int:
    """Open a path beneath a directory, and nothing that is not beneath it.

    Parameters
    ----------
    directory
        Descriptor of the directory.
    parts
        Names, outermost first; ``..`` only as a symbolic link's text has it.
    flags
        As for `os.open`; close-on-exec is added.

    Raises
    ------
    OSError
        EXDEV: the path leads out. ELOOP: a symbolic link where none may be,
        or too many. Else as open(2).

    Notes
    -----
    openat2(2) where the kernel has it, else a walk by `O_NOFOLLOW`; container
    runtimes that do not know the call answer EPERM. A path that is too long
    for one call is walked, too.
    """
    is_long = sum(map(len, parts)) + len(parts) > _PATH_MAX
    return (open_by_walk if is_long else opener())(directory, parts, flags, symlinks)


@cache
def opener() -> Opener:
    """Return the way of opening that works on this machine, found by trying."""
    root = os.open("/", os.O_PATH | os.O_DIRECTORY)
    try:
        os.close(open_by_openat2(root, (b".",), os.O_PATH, Symlinks.REFUSED))
    except OSError:
        return open_by_walk
    else:
        return open_by_openat2
    finally:
        os.close(root)


def open_by_openat2(directory: int, parts: Sequence[bytes], flags: int, symlinks: Symlinks) -> int:
    """Open by openat2(2). EAGAIN (a rename raced with a ``..``) and EINTR are tried again, 64 times."""
    how = _OpenHow(flags | os.O_CLOEXEC, 0, symlinks.value)
    path = b"/".join(parts) or b"."
    error = errno.EAGAIN
    for _ in range(_MAX_ATTEMPTS):
        opened: int = _libc.syscall(
            ctypes.c_long(_OPENAT2), directory, path, ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how))
        )
        if opened >= 0:
            return opened
        error = ctypes.get_errno()
        if error not in (errno.EAGAIN, errno.EINTR):
            break
    raise OSError(error, os.strerror(error), path)


def open_by_walk(directory: int, parts: Sequence[bytes], flags: int, symlinks: Symlinks) -> int:
    """Open component by component, and follow links by their text, if at all.

    Each directory entered is proved not to be a link by `O_NOFOLLOW`, so
    that a ``..`` may be taken by its name: back to the top, down again.
    """
    done: list[bytes] = []
    pending = list(reversed(parts)) or [b"."]
    links = 0
    current = os.dup(directory)
    try:
        while True:
            name = pending.pop()
            target = _link(current, name)
            if target is not None:
                links += 1
                _refuse(target, symlinks=symlinks, links=links)
                pending += reversed(names_in(target))
            elif name == b"..":
                pending += [*reversed(done[:-1])] if done else _leads_out(b"/".join(parts))
                done, current = [], _exchange(current, os.dup(directory))
            elif pending:
                done.append(name)
                current = _exchange(current, os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=current))
            else:
                return os.open(name, flags | os.O_NOFOLLOW, dir_fd=current)
            pending = pending or [b"."]
    finally:
        os.close(current)


def _exchange(old: int, new: int) -> int:
    os.close(old)
    return new


def _leads_out(path: bytes) -> list[bytes]:
    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)


def _refuse(target: bytes, *, symlinks: Symlinks, links: int) -> None:
    if symlinks is Symlinks.REFUSED or links > _MAX_LINKS:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), target)
    if target.startswith(b"/"):
        _leads_out(target)


def _link(directory: int, name: bytes) -> bytes | None:
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError as error:
        if error.errno == errno.EINVAL:  # it is there, and no link
            return None
        raise
