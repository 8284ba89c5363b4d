from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.service.downloads.conftest import Shelf

pytestmark = pytest.mark.any_database

MANY = 100_000


def entries(shelf: Shelf, **query: Any) -> dict[str, Any]:
    return dict(shelf.door.client.get("/areas/source/entries", params=query).raise_for_status().json())


def test_the_areas_are_told(shelf: Shelf) -> None:
    readable = {"is_source": True, "read_prefixes": []}
    assert shelf.door.client.get("/areas").json() == {
        "areas": [
            {"name": "source", "per_user": False, "read_as": "user", **readable, "is_destination": False},
            {"name": "user", "per_user": True, "read_as": "user", **readable, "is_destination": True},
        ]
    }


def test_a_folder_is_listed_with_what_stat_says(shelf: Shelf) -> None:
    shelf.put("listed/b.fits", b"four")
    shelf.put("listed/sub/inner", b"")
    folder = shelf.door.source / "listed"
    (folder / "a-link").symlink_to("/etc/passwd")
    os.mkfifo(folder / "fifo")

    found = entries(shelf, path="listed")["entries"]
    assert [(entry["name"], entry["kind"]) for entry in found] == [
        ("a-link", "symlink"),
        ("b.fits", "file"),
        ("fifo", "FIFO"),
        ("sub", "directory"),
    ]
    assert (found[1]["size_bytes"], found[1]["modified_at"]) == (4, "2023-11-14T22:13:20Z")


def test_a_name_that_is_not_utf_8_is_listed_and_leads_on(shelf: Shelf) -> None:
    shelf.put("odd-listed/\udcff/inner", b"")
    name = entries(shelf, path="odd-listed")["entries"][0]["name"]
    answer = shelf.door.client.get("/areas/source/entries?path=odd-listed/%FF")

    assert name == "\udcff"
    assert [entry["name"] for entry in answer.json()["entries"]] == ["inner"]


def test_the_pages_of_a_hundred_thousand_entries_hold_each_once_and_sorted(shelf: Shelf) -> None:
    folder = shelf.door.source / "many"
    folder.mkdir()
    for number in range(MANY):
        os.close(os.open(folder / f"{number * 7919 % MANY:06}", os.O_CREAT | os.O_WRONLY))
    names, cursor = [], None
    while True:
        page = entries(shelf, path="many", limit=1000, **({"cursor": cursor} if cursor else {}))
        names += [entry["name"] for entry in page["entries"]]
        if (cursor := page["next_cursor"]) is None:
            break

    assert names == [f"{number:06}" for number in range(MANY)]


def test_an_entry_that_comes_or_goes_between_two_pages_moves_no_other(shelf: Shelf) -> None:
    for name in "bdfh":
        shelf.put(f"moving/{name}", b"")
    first = entries(shelf, path="moving", limit=2)
    shelf.put("moving/a", b"")
    (shelf.door.source / "moving" / "b").unlink()
    rest = entries(shelf, path="moving", limit=9, cursor=first["next_cursor"])

    assert [entry["name"] for page in (first, rest) for entry in page["entries"]] == ["b", "d", "f", "h"]


def test_a_large_folder_is_read_anew_once_something_in_it_has_changed(shelf: Shelf) -> None:
    folder = shelf.door.source / "large-moving"
    folder.mkdir()
    for number in range(1500):
        (folder / f"{number:04}").touch()
    time.sleep(2.1)  # its own times are no news any more
    first = entries(shelf, path="large-moving", limit=1000)
    (folder / "0999-come").touch()
    (folder / "1499").unlink()
    rest = entries(shelf, path="large-moving", limit=1000, cursor=first["next_cursor"])
    again = entries(shelf, path="large-moving", limit=1000, cursor=first["next_cursor"])

    names = [entry["name"] for page in (first, rest) for entry in page["entries"]]
    assert names == sorted([*(f"{number:04}" for number in range(1499)), "0999-come"])
    assert rest == again


def test_a_users_area_shows_their_own_folder(shelf: Shelf) -> None:
    (shelf.door.user_areas / "alice").mkdir(exist_ok=True)
    (shelf.door.user_areas / "alice" / "own").write_bytes(b"")
    ask = shelf.door.client.get
    found = ask("/areas/user/entries", params={"username": "alice"}).json()["entries"]

    assert "own" in [entry["name"] for entry in found]
    assert ask("/areas/user/entries").status_code == 400


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("path=nothing", 404),
        ("path=listed-file", 422),
        ("cursor=***", 400),
        ("limit=0", 422),
        ("limit=1001", 422),
        ("path=..", 403),
    ],
)
def test_what_cannot_be_listed_is_refused(shelf: Shelf, query: str, status: int) -> None:
    shelf.put("listed-file", b"")
    assert shelf.door.client.get(f"/areas/source/entries?{query}").status_code == status


def test_a_folder_whose_name_is_dots_is_a_folder(shelf: Shelf) -> None:
    folder = shelf.put(".../inside", b"").parent
    found = [entry["name"] for entry in entries(shelf, path="...")["entries"]]
    shutil.rmtree(folder)
    assert found == ["inside"]
