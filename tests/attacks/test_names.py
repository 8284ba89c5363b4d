"""Another's request, name, link or log is nobody else's, by every call that takes one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.attacks.doors import (
    OTHER_DOORS,
    REQUEST_DOORS,
    STAGING_DOORS,
    TAPE,
    has_no_words_for,
    path_of_link,
    request_of,
    tried,
)
from tests.attacks.site import Answer, Site
from tests.attacks.tricks import NAMING
from tests.attacks.world import AREAS, SHARED, file, link

UNKNOWN = "01890a5d-ac96-774b-bcce-b302099a8057"
# What names something in a call: a path, an area, a user, a request, a secret.
NAMES = {"path", "area", "username", "request_id", "token", "cursor", "source_area", "destination_area", "name"}


def names_something(said: dict[str, Any]) -> bool:
    parameters = said.get("parameters", [])
    named = {one["name"] for one in parameters if one["in"] in {"path", "query"}}
    return bool(named & NAMES) or "requestBody" in said or any(one["in"] == "path" for one in parameters)


def test_every_call_that_names_something_is_tried(site: Site) -> None:
    wanted = {operation for operation, said in site.operations.items() if names_something(said)}

    assert wanted - tried() == set(), "add it to tests/attacks/doors.py"
    assert tried() - set(site.operations) == set(), "there is no such call any more"
    assert [test for test in OTHER_DOORS.values() if test not in globals()] == []


@pytest.fixture(scope="module")
def bobs(site: Site) -> dict[str, str]:
    """Requests of Bob's: staged, failed, of the Tape API, and a download."""
    files = [{"path": "/a.fits", "targetedMetadata": {"ska-staging": {"destination": "by-tape"}}}]
    by_tape = site.call("bob", "POST", TAPE, json={"files": files}).raise_for_status().json()["requestId"]
    site.call("bob", "GET", "/files/source/a.fits").raise_for_status()
    done, failed = (site.staged("bob", source, "by-bob")["request_id"] for source in ("a.fits", "missing"))
    site.ended(by_tape, "bob")
    newest = site.call("bob", "GET", "/requests", params={"method": "direct_download"}).json()["requests"]
    return {"staged": done, "failed": failed, "tape": by_tape, "download": newest[0]["request_id"]}


@pytest.fixture(autouse=True)
def bobs_are_as_they_were(site: Site, bobs: dict[str, str]) -> Iterator[None]:
    """Return what is on record of Bob's requests."""
    before = [site.call("bob", "GET", f"/requests/{one}").json() for one in bobs.values()]
    yield
    assert [site.call("bob", "GET", f"/requests/{one}").json() for one in bobs.values()] == before


@pytest.mark.parametrize("operation", REQUEST_DOORS)
def test_anothers_request_is_as_if_there_were_none(site: Site, bobs: dict[str, str], operation: str) -> None:
    verb, path = operation.split()

    def about(request_id: str) -> Answer:
        got = site.answer(verb, path.replace("{request_id}", request_id), **REQUEST_DOORS[operation])
        return Answer(got.status, got.body.replace(request_id.encode(), b"ID"))

    nothing = about(UNKNOWN)
    assert nothing.status == 404
    assert {kind: about(request_id) for kind, request_id in bobs.items()} == dict.fromkeys(bobs, nothing)


def test_a_list_shows_nothing_of_another(site: Site, bobs: dict[str, str]) -> None:
    listed = [
        site.answer("GET", "/requests", params=params)
        for params in ({}, {"username": "bob"}, {"method": "direct_download"}, {"cursor": bobs["failed"]})
    ]

    assert [answer.status for answer in listed] == [200, 200, 200, 404]
    assert [one for one in bobs.values() for answer in listed[:3] if one.encode() in answer.body] == []
    assert json.loads(listed[1].body)["requests"] == []


def test_a_stream_tells_nothing_of_another(site: Site, bobs: dict[str, str]) -> None:
    own = site.staged(destination="for-the-stream")["request_id"]
    told = b""
    with (
        suppress(httpx.ReadTimeout),
        site.http.stream(
            "GET", "/requests/stream", headers={**site.bearers["alice"], "Last-Event-ID": "0"}, timeout=30
        ) as news,
    ):
        for block in news.iter_bytes():
            told += block
            if own.encode() in told and b"completed" in told.partition(own.encode())[2]:
                break

    assert own.encode() in told
    assert [one for one in bobs.values() if one.encode() in told] == []


@pytest.mark.parametrize("trick", NAMING)
@pytest.mark.parametrize("door", STAGING_DOORS)
def test_no_call_takes_anothers_name_or_an_area_that_is_no_destination(site: Site, door: str, trick: str) -> None:
    _, stage, _, _ = STAGING_DOORS[door]
    said = NAMING[trick]
    before = site.answer("GET", "/requests").body

    answer = stage(site, [("a.fits", "planted")], method="local_copy", **said)

    if has_no_words_for(door, trick):
        assert site.ended(request_of(answer))["status"] in {"completed", "skipped"}
        assert (site.world.alice / "planted").exists()
        return
    if trick == "an area that is none":  # which areas there are, Prefect knows; the run asks
        assert site.ended(request_of(answer))["items"][0]["error_type"] == "UnknownArea"
        return
    assert answer.is_refusal
    assert site.answer("GET", "/requests").body == before


@pytest.mark.parametrize("name", ["bob", "root", "../bob", "."])
@pytest.mark.parametrize("state", AREAS)
def test_no_download_is_in_anothers_name(site: Site, state: str, name: str) -> None:
    site.world.shut(state)
    try:
        statuses = [
            site.answer(verb, path, params={"username": name}).status
            for verb, path in (
                ("GET", "/files/user/group"),
                ("HEAD", "/files/user/group"),
                ("POST", "/files/user/group/link"),
                ("GET", "/areas/user/entries"),
                ("GET", "/files/source/bobs"),
            )
        ]
    finally:
        site.world.shut("open")

    assert statuses == [403] * 5


def test_a_links_secret_is_not_guessed_and_counts_once(site: Site) -> None:
    address = path_of_link(site.call("bob", "POST", "/files/user/group/link").raise_for_status().json())
    guesses = ["", "x", address.rpartition("=")[2][:-1], "*", "%", "' OR 1=1 --", "../links"]

    assert {site.answer("GET", "/links", params={"token": guess}).status for guess in guesses} == {404}
    assert [site.call("bob", "GET", address).status_code for _ in range(2)] == [200, 404]


def test_a_link_of_hers_leads_to_what_she_may_read_when_it_is_used(site: Site) -> None:
    mine = file(site.world.alice / "linked", "alice", 0o600, SHARED)
    address = path_of_link(site.call("alice", "POST", "/files/user/linked/link").raise_for_status().json())
    mine.unlink()
    link(mine, "../bob/group")

    assert site.call("nobody", "GET", address).status_code == 404
    mine.unlink()


def test_the_log_is_for_administrators(site: Site) -> None:
    assert [site.answer("GET", path).status for path in ("/logs/", "/logs/stream")] == [403, 403]


def test_no_problem_has_the_name_of_a_file(site: Site) -> None:
    for name in ("..%2F..%2Fetc%2Fpasswd", "%2Fetc%2Fpasswd", "%2E%2E", "passwd"):
        assert site.answer("GET", f"/problems/{name}").status == 404


def test_no_file_is_made_by_a_user_or_outside_the_source(site: Site) -> None:
    ways = [
        "planted",
        "../user_areas/alice/planted",
        "shared/out/planted",
        "shared/away/planted",
        "shared/to-folder/planted",
    ]
    ways += [f"{site.world.areas}/bob/planted", "roots", "bobs"]
    statuses = {
        who: [site.call(who, "POST", "/create-file", json={"path": way, "content": "x"}).status_code for way in ways]
        for who in ("alice", "operator")
    }
    (site.world.storage / "planted").unlink()  # which an operator may make

    assert statuses["alice"] == [403] * len(ways)
    assert statuses["operator"][0] == 201
    assert all(400 <= status < 500 for status in statuses["operator"][1:])


def test_what_watches_the_site_names_nobody(site: Site, bobs: dict[str, str]) -> None:
    told = [site.answer("GET", path).body for path in ("/metrics", "/areas", "/limits", "/config/", "/health/ready")]

    assert all(told)
    assert [one for one in (*bobs.values(), "by-bob") for answer in told if one.encode() in answer] == []
