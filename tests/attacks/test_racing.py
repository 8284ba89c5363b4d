"""While Alice exchanges folders of hers for links, nothing outside is read or changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from stager.paths import RESERVED_PREFIX
from tests.attacks.doors import READING_DOORS
from tests.attacks.site import METHODS, Answer, Site
from tests.attacks.test_staging import AS_ALICE
from tests.attacks.tricks import Place
from tests.attacks.world import MARK, SHARED, TOLD, UIDS, file, folder

# How often all of it is done again; CI does it a few times, who has an evening sets more.
ROUNDS = int(os.environ.get("ATTACK_ROUNDS", "2"))
CALLS = 15 * ROUNDS
ITEMS = 12
# A folder of Bob's in which his modes let her write: what is in it is not hers all the same.
TEAM = "../bob/team"
# As fast as it can: a folder of hers, a link to Bob's, a folder again, a link to another of his, ...
RACER = """
import contextlib, itertools, os, sys
name, *links = sys.argv[1:]
made = itertools.count()
def move(old, new):
    try:
        os.rename(old, new)
    except OSError:  # the service has made a folder of that name meanwhile
        if os.path.isdir(name) and not os.path.islink(name):
            with contextlib.suppress(OSError):  # and removed it again
                os.rename(name, f"{name}.made.{next(made)}")
for number, link in enumerate(links):
    os.symlink(link, f"{name}.{number}")
move(name, f"{name}.folder")
print("ready", flush=True)
for number in itertools.cycle(range(len(links))):
    move(f"{name}.folder", name)
    move(name, f"{name}.folder")
    move(f"{name}.{number}", name)
    move(name, f"{name}.{number}")
"""


@contextmanager
def racing(home: Path, name: str, *links: str) -> Iterator[None]:
    """Let a process of Alice's exchange a folder of hers until the end of the block."""
    # As root's Python may not be read by her, it was started before it became her.
    command = [*AS_ALICE, sys.executable, "-I", "-c", RACER, name, *links]
    with subprocess.Popen(command, cwd=home, stdout=subprocess.PIPE, text=True) as racer:
        try:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
            yield
            assert racer.poll() is None, "it raced to the end"
        finally:
            racer.kill()


@pytest.fixture
def raced(site: Site) -> Path:
    """A folder of Alice's, with what is in Bob's by the same names."""
    home = site.world.alice / "race"
    if not home.exists():
        folder(home, "alice", 0o755)
        file(home / "private", "alice", 0o600, SHARED)
        file(home / "group", "alice", 0o600, SHARED)
    return home


def _put_back(home: Path) -> None:
    """Give the folder its name again, and remove what was made beside it."""
    if home.is_symlink():
        home.unlink()
    away = home.with_name(f"{home.name}.folder")
    for stray in home.parent.glob(f"{home.name}.*"):
        if stray.is_symlink():
            stray.unlink()
        elif stray != away:
            shutil.rmtree(stray)
    if away.exists():
        shutil.rmtree(home, ignore_errors=True)
        away.rename(home)


def _read(site: Site, door: str, end: str) -> Answer:
    """Return what comes; an archive whose folder is exchanged is cut off, which is no answer."""
    try:
        return READING_DOORS[door][1](site, Place("user", end))
    except httpx.RemoteProtocolError:
        return Answer(409, b"")


@pytest.mark.parametrize("door", [door for door, (_, _, known) in READING_DOORS.items() if "user" in known])
def test_a_folder_that_is_exchanged_while_it_is_read_gives_nothing_of_another(
    site: Site, raced: Path, door: str
) -> None:
    ends = ["race"] if door in {"listing", "zip"} else ["race/private", "race/group", "race"]
    said = []
    with racing(site.world.alice, "race", "../bob", "../../storage/bobs-folder"):
        said += [_read(site, door, end) for _ in range(CALLS) for end in ends]
    _put_back(raced)

    assert [one.status for one in said if MARK in one.body or TOLD.encode() in one.body] == []
    assert {one.status for one in said} & {404, 403, 409}


@pytest.mark.parametrize("method", METHODS)
def test_a_source_that_is_exchanged_while_it_is_staged_gives_nothing_of_another(
    site: Site, raced: Path, method: str
) -> None:
    for number in range(ROUNDS):
        items = [
            {"source": f"race/{name}", "destination": f"raced/{method}-{number}-{one}-{name}"}
            for one in range(ITEMS)
            for name in ("private", "group", "closed")
        ]
        body = {"method": method, "items": items, "source_area": "user"}
        with racing(site.world.alice, "race", "../bob", "../../storage/bobs-folder"):
            asked = site.call("alice", "POST", "/requests", json=body).raise_for_status().json()
            site.ended(asked["request_id"])
        _put_back(raced)

    got = [path for path in (site.world.alice / "raced").glob("**/*") if path.is_file() and not path.is_symlink()]
    assert [path for path in got if path.read_bytes() != SHARED] == []
    assert raced.exists()


@pytest.mark.parametrize("method", METHODS)
def test_a_folder_that_is_exchanged_while_it_is_written_to_changes_nothing_of_another(
    site: Site, raced: Path, method: str
) -> None:
    items = [{"source": "a.fits", "destination": f"race/{name}"} for name in ("private", "group", "new", "team/new")]
    body = {"method": method, "items": items, "on_conflict": "replace"}
    with racing(site.world.alice, "race", TEAM, "../../storage/bobs-folder"):
        for _ in range(2 * ROUNDS):
            asked = site.call("alice", "POST", "/requests", json=body).raise_for_status().json()
            site.ended(asked["request_id"])
    _put_back(raced)

    assert raced.lstat().st_uid == UIDS["alice"]
    shutil.rmtree(raced)  # with what was delivered to it


def test_a_folder_that_is_exchanged_while_it_is_swept_loses_nothing_of_another(site: Site, raced: Path) -> None:
    assert site.staged(source="missing", destination="race/failed")["status"] == "failed"
    left = raced / f"{os.fsdecode(RESERVED_PREFIX)}0123456789abcdef.lock"
    with racing(site.world.alice, "race", TEAM, "../../storage/bobs-folder"):
        for _ in range(2 * ROUNDS):
            site.swept()
    _put_back(raced)
    file(left, "alice", 0o600, b"")

    assert site.swept() == "1 leftovers removed"
    assert not left.exists()
