"""What lies outside a user's own folder does not exist for them; in it, the modes count."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

    from tests.service.downloads.conftest import Shelf

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to read as somebody else")
UIDS = {"alice": 70_001, "bob": 70_002}
SMALL, LARGE = 1000, 3 * 1024 * 1024 + 7
# What is at the end of them is Bob's: a file and a folder for everybody, a closed folder and what is in it, or nothing.
ENDS = ["small", "large", "tree", "closed", "closed/inner", "missing"]
WAYS = ["to-bob/{}", "absolute/{}", "up/bob/{}", "up-and-back/to-bob/{}", "../bob/{}", "{areas}/bob/{}", "bob/{}"]
ROUTES = {
    "GET": "/files/user/{}?username=alice",
    "HEAD": "/files/user/{}?username=alice",
    "part": "/files/user/{}?username=alice",
    "zip": "/files/user/{}?username=alice&archive=zip",
    "entries": "/areas/user/entries?username=alice&path={}",
}


@pytest.fixture(scope="module")
def homes(open_shelf: Shelf) -> Shelf:
    """A shelf whose users have folders, Alice with links to Bob's."""
    areas = open_shelf.door.user_areas
    bob, alice = areas / "bob", areas / "alice"
    for size, name in ((SMALL, "small"), (LARGE, "large")):
        write(bob / name, open_shelf.content(size), "bob", 0o644)
        write(alice / f"own-{name}", open_shelf.content(size), "alice", 0o600)
    write(bob / "tree" / "inner", b"bob's", "bob", 0o644)
    write(bob / "closed" / "inner", b"bob's", "bob", 0o600)
    (bob / "closed").chmod(0o700)
    write(alice / "bobs", b"bob's", "bob", 0o600)
    for name, leads_to in (("to-bob", "../bob"), ("absolute", bob), ("up", ".."), ("back", "../alice/own-small")):
        (alice / name).symlink_to(leads_to)
    (alice / "up-and-back").symlink_to("../alice")
    (alice / "inside").symlink_to("own-small")
    for name, uid in UIDS.items():
        os.chown(areas / name, uid, 70_010)
    return open_shelf


def write(path: Path, data: bytes, owner: str, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)
    for one in (path, path.parent):
        os.chown(one, UIDS[owner], 70_010)


def ask(shelf: Shelf, route: str, path: str) -> httpx.Response:
    headers = {"Range": "bytes=0-9"} if route == "part" else {}
    method = "HEAD" if route == "HEAD" else "GET"
    return shelf.door.client.request(method, ROUTES[route].format(quote(path, safe="")), headers=headers)


@pytest.fixture(params=[0o755, 0o700], ids=["open", "closed"])
def areas(request: pytest.FixtureRequest, homes: Shelf) -> Iterator[Path]:
    """The users' areas, which users may enter, or may not."""
    folder = homes.door.user_areas
    folder.chmod(request.param)
    yield folder
    folder.chmod(0o755)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("way", WAYS)
def test_what_lies_outside_a_users_folder_is_not_there_in_the_same_words(
    homes: Shelf, areas: Path, *, route: str, way: str
) -> None:
    ways = [way.replace("{areas}", str(areas)).format(end) for end in ENDS]
    answers = [ask(homes, route, path) for path in ways]
    nothing = ask(homes, route, "nothing")

    assert [answer.status_code for answer in answers] == [404] * len(ENDS)
    if route != "HEAD":
        said = [answer.json() for answer in (*answers, nothing)]
        details = {
            one["detail"].removesuffix(path.lstrip("/")) for one, path in zip(said, [*ways, "nothing"], strict=True)
        }
        assert details == {f"Source path does not exist: {areas}/alice/"}
        assert len({(one["type"], one["title"]) for one in said}) == 1


def test_a_link_out_of_the_folder_is_shown_and_not_followed(homes: Shelf, areas: Path) -> None:
    found = ask(homes, "entries", "").json()["entries"]
    kinds = {entry["name"]: entry["kind"] for entry in found}

    assert areas.exists()
    assert (kinds["to-bob"], kinds["own-small"]) == ("symlink", "file")
    assert ask(homes, "GET", "back").status_code == 404


@pytest.mark.parametrize(("name", "size"), [("own-small", SMALL), ("own-large", LARGE), ("inside", SMALL)])
def test_a_users_own_file_is_sent_also_where_the_areas_are_closed(
    homes: Shelf, areas: Path, *, name: str, size: int
) -> None:
    answer = ask(homes, "GET", name)

    assert areas.exists()
    assert answer.status_code == 200
    assert answer.content == homes.content(size)  # no nginx may read it: it comes from the service, behind one too


def test_in_a_users_folder_the_modes_count_also_where_the_areas_are_closed(homes: Shelf, areas: Path) -> None:
    assert areas.exists()
    assert ask(homes, "GET", "bobs").status_code == 403


def test_a_folder_that_became_somebody_elses_is_closed_to_its_user(homes: Shelf, areas: Path) -> None:
    home = areas / "alice"
    os.chown(home, UIDS["bob"], 70_012)
    home.chmod(0o700)
    try:
        answers = [ask(homes, route, path) for route in ("GET", "zip") for path in ("own-small", "missing")]
        listed = ask(homes, "entries", "")
    finally:
        home.chmod(0o755)
        os.chown(home, UIDS["alice"], 70_010)

    assert [answer.status_code for answer in (*answers, listed)] == [403] * 5


def test_a_link_in_a_users_place_leads_nobody_anywhere(homes: Shelf) -> None:
    areas = homes.door.user_areas
    (areas / "alice").rename(areas / "away")
    (areas / "alice").symlink_to("bob")
    try:
        statuses = {ask(homes, route, "small").status_code for route in ROUTES}
    finally:
        (areas / "alice").unlink()
        (areas / "away").rename(areas / "alice")

    assert statuses == {404}


def test_a_user_without_a_folder_has_nothing(homes: Shelf) -> None:
    (homes.door.user_areas / "alice").rename(homes.door.user_areas / "away")
    try:
        statuses = {ask(homes, route, path).status_code for route in ROUTES for path in ("small", "bob/small")}
    finally:
        (homes.door.user_areas / "away").rename(homes.door.user_areas / "alice")

    assert statuses == {404}
