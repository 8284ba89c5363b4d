"""No address leads out of an area, by any route that takes a path."""

from __future__ import annotations

import http.client
import threading
from typing import TYPE_CHECKING

import pytest

from tests.patience import PATIENCE

if TYPE_CHECKING:
    from tests.service.downloads.conftest import Shelf

pytestmark = pytest.mark.any_database

SECRET = b"nobody may read this"
ROUTES = ["/files/source/{}", "/files/user/{}?username=alice", "/areas/source/entries?path={}"]
ATTACKS = [
    "../secret",
    "..%2Fsecret",
    "%2e%2e/secret",
    "%2e%2e%2fsecret",
    "a/../../secret",
    "a/%2e%2e/%2e%2e/secret",
    "/../secret",
    "%2F..%2Fsecret",
    "%2Fetc%2Fpasswd",
    "/etc/passwd",
    "//etc/passwd",
    "..%00/secret",
    "secret%00.fits",
    "%00",
    "..%c0%afsecret",
    "%ff%fe/../secret",
    "..%5c..%5csecret",
    "link-out",
    "link-out/passwd",
    "link-up/secret",
    "x" * 300,
    "x/" * 3000,
    "",
    ".",
    "./.",
    "%2e",
]


@pytest.fixture(scope="module", autouse=True)
def links(shelf: Shelf) -> None:
    (shelf.door.folder / "secret").write_bytes(SECRET)
    for area in (shelf.door.source, shelf.door.user_areas / "alice"):
        area.mkdir(exist_ok=True)
        (area / "link-out").symlink_to("/etc")
        (area / "link-up").symlink_to("..")


def ask(shelf: Shelf, target: str, method: str = "GET") -> tuple[int, bytes]:
    """Ask by the very bytes of an address: a client library would tidy them."""
    connection = http.client.HTTPConnection("127.0.0.1", int(shelf.door.url.rpartition(":")[2]), timeout=PATIENCE)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack[:30])
def test_no_address_leads_out_of_an_area(shelf: Shelf, route: str, attack: str) -> None:
    status, body = ask(shelf, route.format(attack))

    is_the_area = route.startswith("/areas") and attack.replace("%2e", ".") in ("", ".", "./.")
    assert status in (400, 403, 404, 422) or is_the_area
    assert SECRET not in body
    assert b"root:" not in body
    assert b"shadow" not in body


@pytest.mark.parametrize("area", ["..", "%2e%2e", "source%2f..", "Source", "nothing", "source%00", "x" * 300])
@pytest.mark.parametrize("route", ["/files/{}/a", "/areas/{}/entries"])
def test_an_area_is_known_by_its_name_alone(shelf: Shelf, route: str, area: str) -> None:
    status, body = ask(shelf, route.format(area))

    assert status in (400, 404)
    assert SECRET not in body


@pytest.mark.parametrize("username", ["..", "bob", "alice/..", "%2e%2e", ""])
def test_a_user_name_is_no_way_into_anothers_folder(shelf: Shelf, username: str) -> None:
    (shelf.door.user_areas / "bob").mkdir(exist_ok=True)
    (shelf.door.user_areas / "bob" / "private").write_bytes(SECRET)
    status, body = ask(shelf, f"/files/user/private?username={username}")

    assert status in (400, 404)
    assert SECRET not in body


def test_a_link_that_is_swapped_meanwhile_leads_nobody_out(shelf: Shelf) -> None:
    inside, outside = shelf.door.source / "inside", shelf.door.folder / "outside"
    for folder, data in ((inside, b"inside"), (outside, SECRET)):
        folder.mkdir()
        (folder / "file").write_bytes(data)
    swapped, stop = shelf.door.source / "swapped", threading.Event()
    swapped.symlink_to("inside")

    def swap() -> None:
        while not stop.is_set():
            for target in (outside, "inside"):
                (shelf.door.source / "next").symlink_to(target)
                (shelf.door.source / "next").rename(swapped)

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        answers = [ask(shelf, "/files/source/swapped/file") for _ in range(400)]
    finally:
        stop.set()
        swapping.join()
    assert ask(shelf, "/files/source/swapped/file") == (200, b"inside")
    assert {status for status, _ in answers} <= {200, 403, 404}
    assert {body for status, body in answers if status == 200} <= {b"inside"}
