"""Areas have a direction: who reads one does not stage to it, and nobody stages to one that is no destination."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from stager.callers.access_rules import Grant

if TYPE_CHECKING:
    from tests.service.access.conftest import Provider
    from tests.service.conftest import ServedDoor

Headers = dict[str, str]
ITEM = {"source": "a.fits", "destination": "c.fits"}
TERMS = {"method": "local_copy", "username": "bob"}
CSV = b"source,destination\na.fits,c.fits\n"


def by_body(door: ServedDoor, who: Headers, **more: str) -> httpx.Response:
    return door.client.post("/requests", json={**TERMS, "items": [ITEM], **more}, headers=who)


def by_manifest(door: ServedDoor, who: Headers, **more: str) -> httpx.Response:
    headers = {**who, "Content-Type": "text/csv"}
    return door.client.post("/requests/from-manifest", params={**TERMS, **more}, content=CSV, headers=headers)


def by_stage_data(door: ServedDoor, who: Headers) -> httpx.Response:
    return door.stage(username="bob", headers=who)


def by_tape(door: ServedDoor, who: Headers) -> httpx.Response:
    file = {"path": "/a.fits", "targetedMetadata": {"ska-staging": {"username": "bob"}}}
    return door.client.post("/api/v1/stage", json={"files": [file]}, headers=who)


DOORS: dict[str, Callable[[ServedDoor, Headers], httpx.Response]] = {
    "body": by_body,
    "manifest": by_manifest,
    "stage_data": by_stage_data,
    "tape": by_tape,
}
NAMING = {"body": by_body, "manifest": by_manifest}


def bob_of(site: Provider, group: str) -> Headers:
    return {"Authorization": f"Bearer {site.token(preferred_username='bob', groups=[group])}"}


def kind(answer: httpx.Response) -> str:
    return str(answer.json()["type"]).rpartition("/")[2]


@pytest.mark.parametrize("door", DOORS)
def test_who_may_only_read_an_area_stages_to_it_by_no_door(guarded_door: ServedDoor, site: Provider, door: str) -> None:
    reader, writer = (DOORS[door](guarded_door, bob_of(site, group)) for group in ("ska/onlookers", "ska/archivists"))

    assert (reader.status_code, kind(reader)) == (403, "not-allowed")
    assert reader.json()["detail"] == "Not allowed: bob may not stage to the storage area user"
    assert writer.status_code in {201, 202}


@pytest.mark.parametrize("path", ["/files/user/a.fits", "/areas/user/entries"])
def test_who_may_only_stage_to_an_area_reads_nothing_of_it(guarded_door: ServedDoor, site: Provider, path: str) -> None:
    reader, writer = (
        guarded_door.client.get(path, headers=bob_of(site, group)) for group in ("ska/onlookers", "ska/archivists")
    )

    assert reader.status_code in {200, 404}
    assert (writer.status_code, writer.json()["detail"]) == (403, "Not allowed: bob may not read the storage area user")
    assert by_body(guarded_door, bob_of(site, "ska/archivists"), source_area="user").status_code == 403


@pytest.mark.parametrize("is_guarded", [True, False], ids=["guarded", "open"])
@pytest.mark.parametrize("way", NAMING)
def test_nothing_is_staged_to_an_area_that_is_no_destination(
    guarded_door: ServedDoor, lone_door: ServedDoor, fts: Headers, way: str, *, is_guarded: bool
) -> None:
    door, who = (guarded_door, fts) if is_guarded else (lone_door, {})
    named: dict[str, Any] = {"username": "alice"}
    before = door.client.get("/requests", headers=who).json()["requests"]

    answer = NAMING[way](door, who, destination_area="source", **named)

    assert (answer.status_code, kind(answer)) == (403, "area-not-writable")
    assert answer.json()["detail"] == "Nothing can be staged to the storage area source: it is not a destination"
    assert [row["request_id"] for row in door.client.get("/requests", headers=who).json()["requests"]] == [
        row["request_id"] for row in before
    ]


def test_the_list_of_areas_says_what_the_caller_may_do_with_each(
    guarded_door: ServedDoor, lone_door: ServedDoor, site: Provider, fts: Headers
) -> None:
    def told(door: ServedDoor, who: Headers) -> dict[str, tuple[bool, bool]]:
        areas = door.client.get("/areas", headers=who).json()["areas"]
        return {area["name"]: (area["is_source"], area["is_destination"]) for area in areas}

    assert told(guarded_door, fts) == told(lone_door, {}) == {"source": (True, False), "user": (True, True)}
    assert told(guarded_door, bob_of(site, "ska/onlookers")) == {"source": (True, False), "user": (True, False)}
    assert told(guarded_door, bob_of(site, "ska/archivists")) == {"source": (True, False), "user": (False, True)}


@pytest.mark.parametrize(
    ("areas", "readable", "writable"),
    [
        (["source", "user"], {"source", "user"}, {"user"}),
        (["source", "projects"], {"source", "projects"}, set()),
        (["*"], {"source", "user", "projects"}, set()),
    ],
)
def test_an_access_file_from_before_lets_read_what_it_names_and_stage_to_the_users_area(
    areas: list[str], readable: set[str], writable: set[str]
) -> None:
    grant, all_areas = Grant(areas=frozenset(areas)), ("source", "user", "projects")

    assert {area for area in all_areas if grant.may_use(area, "read")} == readable
    assert {area for area in all_areas if grant.may_use(area, "write")} == writable
