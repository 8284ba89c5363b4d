"""What callers with tokens read: their own, with their own rights, whichever account the service has."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.open_folder import open_folder
from tests.ports import NO_PREFECT
from tests.service.access.conftest import ONE_ISSUER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    import httpx

    from tests.service.access.conftest import Provider
    from tests.service.conftest import ServedDoor

    Serve = Callable[..., AbstractContextManager[ServedDoor]]

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root, to be somebody else"
)
UIDS = {"alice": 70_001, "bob": 70_002}
GRANTS = """
[everyone]
methods = ["direct_download"]
areas = ["source", "user"]
"""
# It may read what is root's, because the tests' Python may be root's.
AS_ALICE = [
    *("setpriv", "--pdeathsig", "TERM", "--reuid", str(UIDS["alice"]), "--regid", "70010", "--clear-groups"),
    *("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search", "--"),
]


@contextmanager
def guarded(serve: Serve, folder: Path, site: Provider, *, owner: int = 0, **more: str) -> Iterator[ServedDoor]:
    """Serve a door with authentication on, in a folder that may be another account's; users' areas are closed."""
    (folder / "access.toml").write_text(ONE_ISSUER.format(url=site.url) + GRANTS)
    for name in ("storage", "user_areas"):
        (folder / name).mkdir()
    prefix = AS_ALICE if owner else []
    os.chown(folder, owner, -1)
    (folder / "user_areas").chmod(0o711 if owner else 0o700)
    for name, uid in UIDS.items():
        home = folder / "user_areas" / name
        home.mkdir(mode=0o755)
        (home / f"{name}s").write_bytes(name.encode())
        for path in (home, home / f"{name}s"):
            os.chown(path, uid, 70_010)
    (folder / "storage" / "a.fits").write_bytes(b"SIMPLE")
    settings = {"STAGER_ACCESS_FILE": str(folder / "access.toml"), **more}
    (folder / "records.db").touch()
    os.chown(folder / "records.db", owner, -1)
    url = f"sqlite:///{folder}/records.db"
    with serve(folder, database_url=url, prefect_api=NO_PREFECT, prefix=prefix, **settings) as door:
        users = "".join(f"[users.{name}]\nuid = {uid}\ngid = 70010\n" for name, uid in UIDS.items())
        (folder / "users.toml").write_text(users)
        yield door


def get(door: ServedDoor, path: str, bearer: dict[str, str]) -> httpx.Response:
    return door.client.get(path, headers=bearer)


def localities(door: ServedDoor, bearer: dict[str, str], *paths: str) -> list[str]:
    answer = door.client.post("/api/v1/archiveinfo", json={"paths": paths}, headers=bearer)
    return [found.get("locality") or found["error"] for found in answer.json()]


@pytest.fixture(scope="module")
def own_door(serve: Serve, site: Provider) -> Iterator[ServedDoor]:
    """A door of root's, whose users each have a folder in an area that they may not enter."""
    with open_folder() as folder, guarded(serve, folder, site) as door:
        alice = door.user_areas / "alice"
        for name, leads_to in (("to-bob", "../bob"), ("absolute", door.user_areas / "bob")):
            (alice / name).symlink_to(leads_to)
        (alice / "a.fits").write_bytes(b"SIMPLE")
        yield door


def test_a_tape_client_sees_its_own_folder_and_nothing_that_leads_out_of_it(
    own_door: ServedDoor, alice: dict[str, str], bob: dict[str, str]
) -> None:
    ways = [f"/{way}/{end}" for way in ("to-bob", "absolute") for end in ("bobs", "missing")]
    told = localities(own_door, alice, "/a.fits", "/alices", "/bobs", "/bob/bobs", *ways)

    nothing = [f"Source path does not exist: {path}" for path in ("bobs", "bob/bobs", *(way[1:] for way in ways))]
    assert told == ["DISK_AND_TAPE", "DISK", *nothing]
    assert localities(own_door, bob, "/a.fits", "/bobs") == ["TAPE", "DISK"]


def test_a_caller_reads_their_own_folder_alone(own_door: ServedDoor, alice: dict[str, str]) -> None:
    paths = ["alices", "bobs", "to-bob/bobs", "absolute/bobs"]
    files = [get(own_door, f"/files/user/{path}", alice).status_code for path in paths]
    links = [own_door.client.post(f"/files/user/{path}/link", headers=alice).status_code for path in paths]
    others = [get(own_door, f"/files/user/{name}s?username={name}", alice).status_code for name in UIDS]

    assert (files, links, others) == ([200, 404, 404, 404], [201, 404, 404, 404], [200, 403])


def test_a_link_needs_no_token_and_no_token_makes_none(own_door: ServedDoor, alice: dict[str, str]) -> None:
    made = own_door.client.post("/files/user/alices/link", headers=alice)
    refused = own_door.client.post("/files/user/alices/link")
    address = made.json()["url"].partition("/links")[2]
    answers = [own_door.client.get(f"/links{address}") for _ in range(2)]

    assert refused.status_code == 401
    assert [answer.status_code for answer in answers] == [200, 404]
    assert answers[0].content == b"alice"


def test_a_service_that_is_not_root_reads_for_nobody_but_the_user_that_it_is(
    serve: Serve, open_path: Path, *, site: Provider, alice: dict[str, str], bob: dict[str, str]
) -> None:
    with guarded(serve, open_path, site, owner=UIDS["alice"], STAGER_SOURCE_READ_AS="service") as door:
        source = [get(door, "/files/source/a.fits", who).status_code for who in (alice, bob)]
        own, bobs = get(door, "/files/user/alices", alice), get(door, "/files/user/bobs", bob)
        listed = get(door, "/areas/user/entries", bob)
        told = localities(door, bob, "/a.fits", "/bobs")

    assert (source, own.status_code) == ([200, 200], 200)
    assert [answer.status_code for answer in (bobs, listed)] == [403, 403]
    why = "the service runs as uid 70001 and cannot read with the rights of bob; the operator may set read_as: service"
    assert bobs.json()["detail"] == f"Source cannot be read: {door.user_areas}: {why} for user"
    assert told == ["TAPE", "Source path does not exist: bobs"]
