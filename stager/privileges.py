"""Root's privileges: given up for good, or by one thread for a while."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

_PR_GET_DUMPABLE, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 3, 4, 38
_CAPABILITY_VERSION = 0x20080522  # the third, since Linux 2.6.26
# The C library's setgroups changes all threads; the system call changes one.
_SETGROUPS = {"x86_64": 116, "aarch64": 159}.get(os.uname().machine)
_CAP_FOWNER = 3  # linux/capability.h
_ASK = 2**32 - 1  # no ID: setfsuid(2) changes nothing, and says what is

# PyDLL keeps the interpreter's lock: these calls do not block, and are shorter than getting the lock back.
_libc = ctypes.PyDLL(None, use_errno=True)


class Account(Protocol):
    """An account that a process can become."""

    @property
    def uid(self) -> int:
        """User ID."""

    @property
    def gid(self) -> int:
        """ID of the first group."""

    @property
    def groups(self) -> tuple[int, ...]:
        """IDs of all groups."""


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


@dataclass(frozen=True)
class Ids:
    """An account by its numbers."""

    uid: int
    gid: int
    groups: tuple[int, ...]


def become(account: Account) -> None:
    """Turn this process, which is root's, into the user's for good: uid, gid and groups.

    It keeps nothing of root's, and nothing that it executes gets it again.
    Like any process that changed its user, it cannot be traced by that user.

    Raises
    ------
    OSError
        We may not: not root, or a root without CAP_SETUID and CAP_SETGID.

    Notes
    -----
    capabilities(7), credentials(7), prctl(2).
    """
    os.setgroups(account.groups)
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)
    _check(_libc.capset(ctypes.byref(_Header(_CAPABILITY_VERSION, 0)), (_Sets * 2)()))
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _check(_libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))  # whatever fs.suid_dumpable says


def is_kept_from_its_user() -> bool:
    """Tell whether this process became its user, who cannot trace it but could trace what it starts."""
    return os.geteuid() != 0 and _libc.prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0) != 1


@contextmanager
def reading_as(account: Account) -> Iterator[None]:
    """Let this thread open files with a user's rights while the body runs; other threads keep theirs.

    No capability is effective in the thread meanwhile.

    Raises
    ------
    PermissionError
        We may not be anybody else.

    Notes
    -----
    setfsuid(2), capabilities(7). Where what the thread was does not come
    back, the process ends: it must not serve somebody else.
    """
    uid, gid, groups, effective = os.geteuid(), os.getegid(), os.getgroups(), _effective()
    try:
        _set_groups(account.groups)
        _set_file_id(_libc.setfsgid, account.gid)
        _set_file_id(_libc.setfsuid, account.uid)
        _set_effective([0, 0])
        yield
    finally:
        try:
            _set_effective(effective)
            _set_file_id(_libc.setfsuid, uid)
            _set_file_id(_libc.setfsgid, gid)
            if os.getgroups() != groups:
                _set_groups(groups)
        except OSError:
            os.abort()


@contextmanager
def linking_as(account: Account) -> Iterator[None]:
    """Let this thread link files with a user's rights while the body runs, whoever owns the files (CAP_FOWNER)."""
    with reading_as(account):
        _set_effective([1 << _CAP_FOWNER, 0])
        yield


def _set_groups(groups: Collection[int]) -> None:
    if _SETGROUPS is None:
        raise OSError(errno.ENOSYS, f"setgroups of {os.uname().machine} is not known by its number")
    _check(_libc.syscall(_SETGROUPS, len(groups), (ctypes.c_uint32 * len(groups))(*groups)))


def _set_file_id(call: Callable[[ctypes.c_uint32], int], wanted: int) -> None:
    call(ctypes.c_uint32(wanted))
    if call(ctypes.c_uint32(_ASK)) % 2**32 != wanted:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def _sets() -> ctypes.Array[_Sets]:
    """Return the capability sets of this thread."""
    sets = (_Sets * 2)()
    _check(_libc.capget(ctypes.byref(_Header(_CAPABILITY_VERSION, 0)), sets))
    return sets


def _effective() -> list[int]:
    return [half.effective for half in _sets()]


def _set_effective(wanted: list[int]) -> None:
    sets = _sets()
    for half, effective in zip(sets, wanted, strict=True):
        half.effective = effective
    _check(_libc.capset(ctypes.byref(_Header(_CAPABILITY_VERSION, 0)), sets))


def _check(result: int) -> None:
    if result:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
