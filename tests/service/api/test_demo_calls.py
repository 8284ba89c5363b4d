"""The demo's calls, word by word."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from stager.settings import AUTHENTICATION_IS_OFF

if TYPE_CHECKING:
    from tests.service.conftest import ServedDoor

pytestmark = pytest.mark.any_database

STAGE_PATHS = ["/stage_data", "/stage_data/", "/stage-data", "/stage-data/"]


@pytest.mark.parametrize("path", STAGE_PATHS)
def test_each_way_to_write_the_call_is_served_without_a_redirect(lone_door: ServedDoor, path: str) -> None:
    answer = lone_door.stage(path=path)

    assert answer.status_code == 202
    assert not answer.history


@pytest.mark.parametrize("path", STAGE_PATHS)
def test_an_unknown_method_is_refused_in_the_demos_words(lone_door: ServedDoor, path: str) -> None:
    answer = lone_door.stage("teleport", path=path)

    assert answer.status_code == 400
    assert answer.json()["detail"] == "Invalid staging method: teleport"


def test_a_method_that_is_allowed_but_does_not_exist_is_refused(lone_door: ServedDoor) -> None:
    assert lone_door.stage("rucio_copy").json()["detail"] == "Invalid staging method: rucio_copy"


@pytest.mark.parametrize("username", ["nobody-knows", "..", "", "a/b", "x" * 300])
def test_a_user_that_does_not_exist_is_refused_and_nothing_is_recorded(lone_door: ServedDoor, username: str) -> None:
    before = lone_door.client.get("/requests", params={"username": username}).json()["requests"]
    answer = lone_door.stage(username=username)

    assert answer.status_code == 400
    assert isinstance(answer.json()["detail"], str)
    assert lone_door.client.get("/requests", params={"username": username}).json()["requests"] == before


def test_malformed_json_gets_fastapis_validation_body(lone_door: ServedDoor) -> None:
    answer = lone_door.client.post(
        "/stage_data?method=local_copy&username=alice", content=b"{nope", headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == 422
    assert answer.json()["detail"][0]["type"] == "json_invalid"
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("params", "body", "place"),
    [
        ({"username": "alice"}, {"data": {"local_path_on_storage": "a", "relative_path": "b"}}, ["query", "method"]),
        (
            {"method": "local_copy"},
            {"data": {"local_path_on_storage": "a", "relative_path": "b"}},
            ["query", "username"],
        ),
        ({"method": "local_copy", "username": "alice"}, {}, ["body", "data"]),
        (
            {"method": "local_copy", "username": "alice"},
            {"data": {"local_path_on_storage": "a"}},
            ["body", "data", "relative_path"],
        ),
        (
            {"method": "local_copy", "username": "alice"},
            {"data": {"local_path_on_storage": "", "relative_path": "b"}},
            ["body", "data", "local_path_on_storage"],
        ),
    ],
)
def test_an_incomplete_call_is_told_what_is_missing(
    lone_door: ServedDoor, params: dict[str, str], body: object, place: list[str]
) -> None:
    answer = lone_door.client.post("/stage_data", params=params, json=body)

    assert answer.status_code == 422
    assert [error["loc"] for error in answer.json()["detail"]] == [place]


def test_a_body_without_a_content_type_is_taken_as_json(lone_door: ServedDoor) -> None:
    body = b'{"data": {"local_path_on_storage": "a.fits", "relative_path": "b"}}'

    assert lone_door.client.post("/stage_data?method=local_copy&username=alice", content=body).status_code == 202


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_sites_settings_are_shown_as_in_the_demo(lone_door: ServedDoor, slash: str) -> None:
    methods = ["local_copy", "local_symlink", "symlink_copy", "direct_download"]

    assert lone_door.client.get(f"/config{slash}").json() == {
        "source_storage_path": str(lone_door.source),
        "target_storage_path": str(lone_door.user_areas),
        "allowed_methods": methods,
        "pools": [],
        "authentication": "off",
        "warning": AUTHENTICATION_IS_OFF,
    }
    assert lone_door.client.get(f"/config/allowed-methods{slash}").json() == {"allowed_methods": methods}


def test_a_method_that_is_not_there_is_told_at_the_start_and_refused(lone_door: ServedDoor) -> None:
    [told] = [json.loads(line) for line in lone_door.log_file.read_text().splitlines() if "ALLOWED_METHODS" in line]
    answer = lone_door.stage("jupyter_copy")

    assert (told["level"], told["methods"]) == ("warning", ["jupyter_copy"])
    assert (answer.status_code, answer.json()["detail"]) == (400, "Invalid staging method: jupyter_copy")


def test_an_outcome_that_takes_longer_is_promised_at_an_address(lone_door: ServedDoor) -> None:
    answer = lone_door.stage()

    body = answer.json()
    assert answer.status_code == 202
    assert (body["status"], answer.headers["location"]) == ("submitted", f"/requests/{body['request_id']}")
    assert lone_door.client.get(answer.headers["location"]).json()["status"] == "submitted"
