"""Root's privileges: given up for good, but for what is named."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Protocol

_PR_SET_PDEATHSIG, _PR_GET_PDEATHSIG, _PR_GET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_SET_NO_NEW_PRIVS = 1, 2, 3, 8, 38
_CAPABILITY_VERSION = 0x20080522  # the third, since Linux 2.6.26

_libc = ctypes.CDLL(None, use_errno=True)


class Capability(IntEnum):
    """What of root's a process may keep, by the numbers of linux/capability.h."""

    CAP_DAC_READ_SEARCH = 2
    CAP_FOWNER = 3


class Account(Protocol):
    """Whom a process can become."""

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


def become(account: Account, *, keep: Collection[Capability] = ()) -> None:
    """Turn this process, which is root's, into one of a user's: uid, gid and groups, for good.

    Nothing that it executes gets more again. Like any process that changed
    its user, it cannot be traced by that user: what it holds in memory stays
    out of their reach.

    Parameters
    ----------
    keep
        What the calling thread, and those that it will start, may still do
        of root's. Other threads keep nothing.

    Raises
    ------
    PermissionError
        We may not: not root, or a root without CAP_SETUID and CAP_SETGID.

    Notes
    -----
    capabilities(7), credentials(7); prctl(2): a change of the user clears the
    signal at the parent's death, which is therefore set anew.
    """
    at_death = ctypes.c_int()
    _check(_libc.prctl(_PR_GET_PDEATHSIG, ctypes.byref(at_death), 0, 0, 0))
    _check(_libc.prctl(_PR_SET_KEEPCAPS, 1 if keep else 0, 0, 0, 0))
    os.setgroups(account.groups)
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)
    kept = sum(1 << capability for capability in keep)
    sets = (_Sets * 2)(_Sets(kept, kept, 0), _Sets())
    _check(_libc.capset(ctypes.byref(_Header(_CAPABILITY_VERSION, 0)), sets))
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _check(_libc.prctl(_PR_SET_PDEATHSIG, at_death.value, 0, 0, 0))


def is_kept_from_its_user() -> bool:
    """Tell whether this process became its user: then they cannot trace it, but could trace what it starts."""
    return os.geteuid() != 0 and _libc.prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0) != 1


@contextmanager
def seen_as(account: Account) -> Iterator[None]:
    """Let the kernel judge what a user may do while the body runs, by their effective uid, gid and groups.

    Raises
    ------
    PermissionError
        We may not be anybody else.
    """
    at_death = ctypes.c_int()
    _check(_libc.prctl(_PR_GET_PDEATHSIG, ctypes.byref(at_death), 0, 0, 0))
    uid, gid, groups = os.geteuid(), os.getegid(), os.getgroups()
    try:
        os.setgroups(account.groups)
        os.setegid(account.gid)
        os.seteuid(account.uid)
        yield
    finally:
        os.seteuid(uid)
        os.setegid(gid)
        os.setgroups(groups)
        _check(_libc.prctl(_PR_SET_PDEATHSIG, at_death.value, 0, 0, 0))


def _check(result: int) -> None:
    if result:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
