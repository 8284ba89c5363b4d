"""What an answer's headers allow a browser."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stager.api.routes.cancellations import MOST_CANCELLED
from stager.downloads.ranges import MAX_PARTS
from stager.http.call_limits import MAX_HEADER_BYTES, MAX_TARGET_BYTES
from stager.models import MAX_PATH_BYTES
from stager.settings import Settings
from tests.ports import NO_PREFECT

if TYPE_CHECKING:
    from tests.service.conftest import ServedDoor

pytestmark = pytest.mark.any_database

# What every page may read of an answer (Fetch, section 3.3.3), or its browser alone looks at.
PLAIN = {"cache-control", "content-length", "content-type", "last-modified"}
ABOUT_BROWSERS = {
    *("access-control-allow-origin", "access-control-expose-headers", "vary", "strict-transport-security", "date"),
    *("content-security-policy", "cross-origin-resource-policy", "referrer-policy", "server"),
    *("x-content-type-options", "x-frame-options"),
}
PAGE = {"Origin": "https://page.example.org", "Access-Control-Request-Method": "POST"}


def test_another_sites_page_is_allowed_nothing(lone_door: ServedDoor) -> None:
    answers = [lone_door.client.options("/stage_data", headers=PAGE), lone_door.client.get("/config", headers=PAGE)]

    assert [name for answer in answers for name in answer.headers if name.startswith("access-control")] == []


def test_a_site_that_the_operator_names_may_call_and_others_not(
    serve: Callable[..., AbstractContextManager[ServedDoor]], open_path: Path
) -> None:
    settings = {
        "STAGER_CORS_ORIGINS": '["https://page.example.org"]',
        "STAGER_PUBLIC_URL": "https://staging.example.org/",
    }
    where = {"database_url": f"sqlite:///{open_path}/records.db", "prefect_api": NO_PREFECT}
    with serve(open_path, **where, **settings) as door:
        allowed = door.client.options("/stage_data", headers=PAGE)
        refused = door.client.options("/stage_data", headers={**PAGE, "Origin": "https://other.example.org"})
        (door.source / "a").write_bytes(b"data")
        part = door.client.get("/files/source/a", headers={**PAGE, "Range": "bytes=0-1"})
        accepted = door.ask(headers={**PAGE, "Prefer": "wait=0"})
        unknown = door.client.get("/requests/none").json()["type"]
        for origin in (PAGE["Origin"], "https://staging.example.org"):
            assert door.ask(headers={"Origin": origin, "Sec-Fetch-Site": "cross-site"}).status_code == 202

    assert allowed.headers["access-control-allow-origin"] == "https://page.example.org"
    assert "access-control-allow-origin" not in refused.headers
    for answer in (part, accepted):
        readable = answer.headers["access-control-expose-headers"].lower().split(", ")
        assert not set(answer.headers) - set(readable) - PLAIN - ABOUT_BROWSERS
    assert allowed.headers["strict-transport-security"] == "max-age=31536000"
    assert unknown == "https://staging.example.org/problems/request-not-found"


FOREIGN = [
    {"Origin": "https://page.example.org", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "http://page.example.org"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "http://rebound.example.org:8000", "Host": "rebound.example.org:8000"},
]
CALLS = [
    ("POST", "/stage_data?method=local_copy&username=alice"),
    ("POST", "/requests"),
    ("POST", "/requests/{}/cancel"),
    ("DELETE", "/requests/{}"),
    ("POST", "/api/v1/stage"),
    ("POST", "/create-file"),
]


@pytest.mark.parametrize("page", FOREIGN, ids=str)
def test_another_sites_page_changes_nothing(lone_door: ServedDoor, page: dict[str, str]) -> None:
    request_id = lone_door.ask().json()["request_id"]
    before = lone_door.client.get("/requests").json()["requests"]
    body = b'{"data": {"local_path_on_storage": "a", "relative_path": "b"}}'  # without a Content-Type nobody asks first
    answers = [
        lone_door.client.request(verb, path.format(request_id), content=body, headers=page) for verb, path in CALLS
    ]

    assert {answer.status_code for answer in answers} == {403}
    assert {answer.json()["type"].rpartition("/")[2] for answer in answers} == {"foreign-page"}
    after = lone_door.client.get("/requests").json()["requests"]
    assert [(seen["request_id"], seen["status"]) for seen in after] == [
        (seen["request_id"], seen["status"]) for seen in before
    ]


@pytest.mark.parametrize("site", [{}, {"Sec-Fetch-Site": "same-origin"}], ids=["plain", "secure"])
def test_our_own_page_may_call(lone_door: ServedDoor, site: dict[str, str]) -> None:
    for host in (lone_door.url.removeprefix("http://"), "[::1]:8000", "localhost:8000", "machine"):
        answer = lone_door.ask(headers={"Host": host, "Origin": f"http://{host}", **site})
        assert answer.status_code == 202


def test_no_answer_is_run_framed_or_guessed_at(lone_door: ServedDoor) -> None:
    for path in ("/config", "/requests", "/nothing-is-there"):
        headers = lone_door.client.get(path).headers
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert "strict-transport-security" not in headers  # it is reached over plain HTTP


def test_what_is_answered_to_one_caller_is_kept_by_nobody(
    guarded_door: ServedDoor, lone_door: ServedDoor, alice: dict[str, str]
) -> None:
    guarded_door.source.joinpath("kept.fits").write_bytes(b"SIMPLE")
    stage, ask = guarded_door.stage(headers=alice), guarded_door.client.get
    answers = {
        "accepted": stage,
        "request": ask(stage.headers["location"], headers=alice),
        "refused as invalid": guarded_door.client.post("/requests", json={}, headers=alice),
        "none": ask(f"/requests/{'0' * 32}", headers=alice),
        "not allowed": ask("/logs/", headers=alice),
        "without a token": ask("/requests"),
        "with a wrong one": ask("/requests", headers={"Authorization": "Bearer no"}),
        "explained": ask(f"{stage.headers['location']}/explain", headers=alice),
        "areas": ask("/areas", headers=alice),
        "entries": ask("/areas/source/entries", headers=alice),
        "where authentication is off": lone_door.client.get("/requests"),
    }
    assert {name: answer.headers.get("cache-control") for name, answer in answers.items()} == dict.fromkeys(
        answers, "private, no-store"
    )
    assert ask("/files/source/kept.fits", headers=alice).headers["cache-control"] == "private, no-cache"
    for public in ("/config", "/limits", "/problems/not-allowed", "/openapi.json", "/nothing-is-there"):
        assert "cache-control" not in ask(public, headers=alice).headers


def test_the_limits_are_told(lone_door: ServedDoor) -> None:
    told = lone_door.client.get("/limits").json()

    usual = {name: field.default for name, field in Settings.model_fields.items()}
    assert told == {
        "body_bytes": usual["max_body_bytes"],
        "body_values": 16 * usual["max_items_in_body"] + 2000,
        "manifest_bytes": usual["max_manifest_bytes"],
        "header_bytes": MAX_HEADER_BYTES,
        "target_bytes": MAX_TARGET_BYTES,
        "path_bytes": MAX_PATH_BYTES,
        "items_in_body": usual["max_items_in_body"],
        "items": usual["max_items"],
        "items_to_cancel": MOST_CANCELLED,
        "range_parts": MAX_PARTS,
        "create_file_bytes": usual["create_file_bytes"],
        "open_requests": usual["max_open_requests"],
        "long_calls": usual["max_long_calls"],
        "pause": usual["max_pause"],
        "wait": 0.2,  # the door's own
    }


def test_every_limit_is_on_its_page(lone_door: ServedDoor) -> None:
    told = lone_door.client.get("/limits").json() | {"wait": Settings.model_fields["wait"].default}
    rows = (Path(__file__).parents[3] / "docs" / "reference" / "limits.md").read_text().splitlines()

    for name, figure in told.items():
        assert [row for row in rows if row.startswith(f"| `{name}`: ") and f" | {figure} | " in row], name
