"""The state folder: closed to every other account, and given what an older installation kept in the open."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deployments.local.cannot_start import CannotStart
from deployments.local.settings import CHECKOUT, LocalSettings
from deployments.local.supervisor_client import reports

ELSEWHERE = "or choose another folder with STAGER_STATE_DIR=..."
# Older installations had their configuration beside the storage areas, by which they are recognised.
SIGN = "supervisord.conf"
# What is moved from there; a database's write-ahead log goes before the database.
KEPT = ("records.db-wal", "records.db", "prefect", "logs")
# What is created anew; others may hold a lock on the second.
MADE_ANEW = ("supervisor.sock", "records.db-shm", "supervisord.pid", SIGN)


@contextmanager
def enterable() -> Iterator[None]:
    """Make files and folders in the body readable to other accounts, whatever the umask is."""
    before = os.umask(0o022)
    try:
        yield
    finally:
        os.umask(before)


def close_state(settings: LocalSettings) -> list[str]:
    """Make the state folder one that no other account can enter; return what was changed.

    Raises
    ------
    CannotStart
        Somebody else's folder or a symbolic link is in its place, or
        somebody else could exchange it.
    """
    _keep_others_from_exchanging(settings.folder)
    fd = _opened(settings.state)
    try:
        status = os.fstat(fd)
        if status.st_uid != os.geteuid():
            owner, us = _account(status.st_uid), _account(os.geteuid())
            message = f"{settings.state} belongs to {owner}: give it to {us} (chown -R), {ELSEWHERE}"
            raise CannotStart(message)
        os.fchmod(fd, 0o700)
    finally:
        os.close(fd)
    if stat.S_IMODE(status.st_mode) & 0o077:
        return [f"Other accounts could enter {settings.state}: it is closed now. Change Prefect's password."]
    return []


def kept_text(file: Path, make: Callable[[], str]) -> str:
    """Return what a file of the state folder says; at first, what is made for it, which only we read."""
    if file.exists():
        return file.read_text().strip()
    text, unfinished = make(), file.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(f"{text}\n")
    unfinished.rename(file)
    return text


def _opened(state: Path) -> int:
    try:
        state.mkdir(mode=0o700, exist_ok=True)
        return os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        message = f"{state} cannot be opened as a folder of its own ({error.strerror}): remove it, {ELSEWHERE}"
        raise CannotStart(message) from error


def _keep_others_from_exchanging(folder: Path) -> None:
    """Check that only trusted accounts (ours, root, the code's owner) can exchange a folder or what is in it.

    It is closed itself; on the way to it, nothing is changed that is not ours to change.
    """
    status = folder.stat()
    _check_owner(folder, status)
    if status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX:
        try:
            folder.chmod(stat.S_IMODE(status.st_mode) & ~0o022)
        except OSError as error:
            raise _open_to_others(folder) from error
    for way in _way(folder):
        status = way.lstat()
        _check_owner(way, status)
        if not stat.S_ISLNK(status.st_mode) and _is_open_to_others(status):
            raise _open_to_others(way)


def _way(folder: Path) -> Iterator[Path]:
    """Yield every folder and every link on the way of a path (path_resolution(7))."""
    here, names = Path("/"), list(reversed(folder.absolute().parts))
    while names:
        name = names.pop()
        if name == "..":
            here = here.parent
            continue
        here /= name
        yield here
        if here.is_symlink():
            names += reversed(here.readlink().parts)
            here = here.parent


def _check_owner(path: Path, status: os.stat_result) -> None:
    if status.st_uid not in {os.geteuid(), 0, CHECKOUT.stat().st_uid}:
        message = f"{path} belongs to {_account(status.st_uid)}, who could exchange what is in it: {ELSEWHERE[3:]}"
        raise CannotStart(message)


def _open_to_others(folder: Path) -> CannotStart:
    return CannotStart(f"Other accounts may write to {folder}: have that ended (chmod go-w), {ELSEWHERE}")


def _is_open_to_others(status: os.stat_result) -> bool:
    """Tell whether others than a folder's owner can exchange what is in it; the owner's private group is no other."""
    if status.st_mode & stat.S_ISVTX:
        return False
    return bool(status.st_mode & 0o002 or (status.st_mode & 0o020 and not _is_of_one(status.st_gid, status.st_uid)))


def _is_of_one(gid: int, uid: int) -> bool:
    """Tell whether a group is a user's private group: with their name, and without other members."""
    try:
        user, group = pwd.getpwuid(uid), grp.getgrgid(gid)
    except KeyError:
        return False
    return (user.pw_gid, user.pw_name) == (gid, group.gr_name) and {*group.gr_mem} <= {user.pw_name}


def _account(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def take_over(settings: LocalSettings) -> list[str]:
    """Move what an older installation kept where others can read it into the state folder; return what was moved.

    Interrupted, it goes on at the next start.

    Raises
    ------
    CannotStart
        That installation still runs, or the state folder has such things already.
    """
    folder, state = settings.folder, settings.state
    if not (folder / SIGN).exists():
        return []
    if reports(folder / "supervisor.sock"):
        message = f"An older version of the service still runs in {folder}: stop it first"
        raise CannotStart(message)
    there = [name for name in KEPT if (folder / name).exists()]
    if twice := [name for name in there if (state / name).exists()]:
        message = f"{folder / twice[0]} and {state / twice[0]} are both there: move away the one that does not count"
        raise CannotStart(message)
    for name in there:
        (folder / name).rename(state / name)
    for name in MADE_ANEW:
        (folder / name).unlink(missing_ok=True)
    return [f"Records, Prefect's data and logs are now in {state}, which no other account can enter."]
