"""The calls of the WLCG Tape REST API, member by member, as its reference document has them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from stager.errors import RunLost
from stager.models import Status
from stager.records.items import FileChange, files_of, save_files
from stager.records.requests import close_requests, start_requests
from stager.records.runs import FairShare, claim_run_group, note_flow_run, resubmit_requests
from stager.records.shards import shards_of
from tests.ports import NO_PREFECT

if TYPE_CHECKING:
    from tests.service.conftest import ServedDoor

pytestmark = pytest.mark.stack

SITE = "ska-staging"
DONE: dict[str, Any] = {"status": Status.COMPLETED}
THERE: dict[str, Any] = {"status": Status.SKIPPED}
FAILED: dict[str, Any] = {
    "status": Status.FAILED,
    "error_type": "SourceNotFound",
    "error_reason": "Source path does not exist: b.fits",
}


def file(path: str, **about: str) -> dict[str, Any]:
    return {"path": path, "targetedMetadata": {SITE: {"username": "alice"} | about}}


def stage(door: ServedDoor, *files: dict[str, Any]) -> httpx.Response:
    return door.client.post("/api/v1/stage", json={"files": files})


def staged_by(door: ServedDoor, *files: dict[str, Any]) -> str:
    return str(stage(door, *files).json()["requestId"])


def staged(door: ServedDoor, *paths: str) -> str:
    return staged_by(door, *map(file, paths))


def look(door: ServedDoor, request_id: str, **query: int) -> dict[str, Any]:
    answer = door.client.get(f"/api/v1/stage/{request_id}", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def states(door: ServedDoor, request_id: str) -> dict[str, str]:
    return {found["path"]: found["state"] for found in look(door, request_id)["files"]}


def post(door: ServedDoor, path: str, *paths: str) -> httpx.Response:
    return door.client.post(f"/api/v1/{path}", json={"paths": paths})


def test_a_client_finds_the_api_the_sites_name_and_its_limits(lone_door: ServedDoor) -> None:
    found = lone_door.client.get("/.well-known/wlcg-tape-rest-api").json()

    assert found["sitename"] == SITE
    [endpoint] = found["endpoints"]
    assert (endpoint["uri"], endpoint["version"]) == ("http://127.0.0.1:8000/api/v1", "v1")
    assert endpoint["metadata"]["limits"] == {
        "maxEntries": 10_000,
        "maxOpenRequests": 10_000,
        "minPollSeconds": 5,
        "retentionSeconds": None,
    }


def test_a_stage_request_is_answered_with_its_id_and_where_it_is(lone_door: ServedDoor) -> None:
    answer = stage(lone_door, file("/a.fits"))

    assert answer.status_code == 201
    request_id = answer.json()["requestId"]
    assert answer.headers["Location"] == f"http://127.0.0.1:8000/api/v1/stage/{request_id}"
    assert answer.json() == {"requestId": request_id}


def test_the_sites_defaults_apply_where_the_client_says_nothing(lone_door: ServedDoor) -> None:
    found = lone_door.request(staged(lone_door, "/night//a.fits", "/files/source/night/b.fits"))

    assert (found["method"], found["username"]) == ("local_copy", "alice")
    assert [(item["source"], item["destination"]) for item in found["items"]] == [
        ("night/a.fits", "night/a.fits"),
        ("night/b.fits", "night/b.fits"),
    ]


def test_metadata_for_this_site_carry_method_and_destination(lone_door: ServedDoor) -> None:
    answer = stage(lone_door, file("/a.fits", method="local_symlink", destination="mine/a.fits"))
    found = lone_door.request(answer.json()["requestId"])

    assert (found["method"], found["items"][0]["destination"]) == ("local_symlink", "mine/a.fits")


def test_metadata_for_this_site_lead_into_notebooks_and_a_token_in_them_is_dropped(
    serve: Callable[..., AbstractContextManager[ServedDoor]], open_path: Path
) -> None:
    about = {"method": "jupyter_copy", "jupyter_token": "open-sesame-6f1c"}
    where = {"database_url": f"sqlite:///{open_path}/records.db", "prefect_api": NO_PREFECT}
    with serve(open_path, **where, JUPYTERHUB_URL="https://hub.example.org") as door:
        own = door.request(staged_by(door, file("/night/a.fits", **about)))
        other = door.request(
            staged_by(door, file("/b.fits", **about, destination="b", destination_area="second-hub/lab"))
        )
        refused = [
            stage(door, file("/a.fits", **about), file("/b.fits", **about, destination_area="second-hub")),
            stage(door, file("/a.fits", **about, destination_area="Second Hub!")),
        ]
        kept = [row.targeted_metadata or "" for row in files_of(door.database, own["request_id"])]

    told = [(row["method"], row["destination_area"], row["items"][0]["destination"]) for row in (own, other)]
    assert told == [("jupyter_copy", "user", "night/a.fits"), ("jupyter_copy", "second-hub/lab", "b")]
    assert [answer.status_code for answer in refused] == [400, 400]
    assert "several areas are named" in refused[0].json()["detail"]
    assert "destination_area" in refused[1].json()["detail"]
    assert kept == ['{"path": "/night/a.fits", "method": "jupyter_copy", "username": "alice"}']


def test_a_method_that_the_site_does_not_offer_is_refused_by_its_name(lone_door: ServedDoor) -> None:
    answer = stage(lone_door, file("/a.fits", method="jupyter_copy"))  # no hub is named there
    assert (answer.status_code, answer.json()["detail"]) == (400, "Invalid staging method: jupyter_copy")


def test_what_is_meant_for_others_or_unknown_is_not_looked_at(lone_door: ServedDoor) -> None:
    known = file("/a.fits", activity="exper_t0_daq")
    known["targetedMetadata"]["another-site"] = {"method": "no such method"}
    assert stage(lone_door, known | {"unheard-of": [1, 2]}).status_code == 201


def test_the_longest_lifetime_of_its_files_is_the_requests(lone_door: ServedDoor) -> None:
    files = [file(path) | {"diskLifetime": wanted} for path, wanted in [("/a.fits", "PT1H"), ("/b.fits", "P1D")]]
    request_id = stage(lone_door, *files, file("/c.fits")).json()["requestId"]
    lone_door.end(request_id, DONE, DONE, DONE)
    found = lone_door.request(request_id)

    assert [row.lifetime for row in files_of(lone_door.database, request_id)] == [3600, 86_400, None]
    expires, finished = (datetime.fromisoformat(found[name]) for name in ("expires_at", "finished_at"))
    assert (found["lifetime"], expires - finished) == (86_400, timedelta(days=1))


def test_a_file_passes_through_the_standards_states_with_times_in_milliseconds(lone_door: ServedDoor) -> None:
    before = time.time() * 1000
    request_id = staged(lone_door, "/a.fits", "//b.fits", "/c.fits")
    submitted = look(lone_door, request_id)
    lone_door.end(request_id, DONE, FAILED, THERE)
    ended = look(lone_door, request_id)

    assert (submitted["id"], {found["state"] for found in submitted["files"]}) == (request_id, {"SUBMITTED"})
    assert submitted["startedAt"] == submitted["createdAt"]
    assert "completedAt" not in submitted
    assert (
        before - 1000 <= ended["createdAt"] <= ended["startedAt"] <= ended["completedAt"] <= time.time() * 1000 + 1000
    )
    assert [(found["path"], found["state"], found.get("error")) for found in ended["files"]] == [
        ("/a.fits", "COMPLETED", None),
        ("/b.fits", "FAILED", "Source path does not exist: b.fits"),
        ("/c.fits", "COMPLETED", None),
    ]
    assert all("finishedAt" in found and "onDisk" not in found for found in ended["files"])


def test_a_path_that_comes_twice_is_told_of_once(lone_door: ServedDoor) -> None:
    assert states(lone_door, staged(lone_door, "/a.fits", "//a.fits", "/b.fits")) == {
        "/a.fits": "SUBMITTED",
        "/b.fits": "SUBMITTED",
    }


def test_a_path_as_long_as_may_be_is_told_of_with_the_slash_in_front(lone_door: ServedDoor) -> None:
    longest = "/".join(["d" * 240] * 17)  # 4,096 bytes
    request_id = staged(lone_door, longest)

    told = look(lone_door, request_id)

    assert [file["path"] for file in told["files"]] == [f"/{longest}"]


def test_some_files_are_cancelled_and_the_others_go_on(lone_door: ServedDoor) -> None:
    request_id = staged(lone_door, "/a.fits", "/b.fits")
    answer = post(lone_door, f"stage/{request_id}/cancel", "//a.fits")

    assert (answer.status_code, answer.content) == (200, b"")
    assert states(lone_door, request_id) == {"/a.fits": "CANCELLED", "/b.fits": "SUBMITTED"}


def test_a_request_of_several_shards_is_one_to_its_client(
    serve: Callable[..., AbstractContextManager[ServedDoor]], open_path: Path
) -> None:
    share = FairShare(username="alice", method="local_copy", is_next=True)
    where = {"database_url": f"sqlite:///{open_path}/records.db", "prefect_api": NO_PREFECT}
    with serve(open_path, **where, STAGER_SHARD_ITEMS="2") as door:
        request_id = staged(door, *(f"/{number}.fits" for number in range(5)))
        while claim_run_group(door.database, share, limit=1):  # unless the door's dispatcher was faster
            pass
        first, *others = shards_of(door.database, [request_id])[request_id]
        assert len(others) == 2
        note_flow_run(door.database, [request_id], "run", run_key=str(first.run_key))
        start_requests(door.database, [request_id], flow_run_id="run", acting_as="alice")
        done, failed, *_ = files_of(door.database, request_id)
        ends = FileChange(id=done.id, status=Status.COMPLETED), FileChange(id=failed.id, status=Status.FAILED)
        save_files(door.database, ends)
        close_requests(door.database, [request_id], flow_run_id="run")
        assert post(door, f"stage/{request_id}/cancel", "/2.fits", "/4.fits").status_code == 200
        assert states(door, request_id) == {
            "/0.fits": "COMPLETED",
            "/1.fits": "FAILED",
            "/2.fits": "CANCELLED",
            "/3.fits": "SUBMITTED",
            "/4.fits": "CANCELLED",
        }
        assert door.client.delete(f"/api/v1/stage/{request_id}").status_code == 200
        assert {shard.status.is_final for shard in shards_of(door.database, [request_id])[request_id]} == {True}
        assert door.request(request_id)["status"] == "cancelled"


def test_with_a_foreign_path_nothing_is_cancelled(lone_door: ServedDoor) -> None:
    request_id = staged(lone_door, "/a.fits", "/b.fits")
    answer = post(lone_door, f"stage/{request_id}/cancel", "/a.fits", "/foreign.fits")

    assert answer.status_code == 400
    assert "/foreign.fits" in "/" + answer.json()["detail"]
    assert states(lone_door, request_id) == {"/a.fits": "SUBMITTED", "/b.fits": "SUBMITTED"}


def test_a_deleted_request_is_cancelled_and_forgotten_and_stays_on_record(lone_door: ServedDoor) -> None:
    request_id = staged(lone_door, "/a.fits")
    answer = lone_door.client.delete(f"/api/v1/stage/{request_id}")

    assert (answer.status_code, answer.content) == (200, b"")
    assert lone_door.client.get(f"/api/v1/stage/{request_id}").status_code == 404
    assert lone_door.client.delete(f"/api/v1/stage/{request_id}").status_code == 404
    assert lone_door.request(request_id)["status"] == "cancelled"


def test_released_files_are_marked_and_those_of_others_refused(lone_door: ServedDoor) -> None:
    request_id = staged(lone_door, "/a.fits", "/b.fits")
    lone_door.end(request_id, DONE, DONE)

    assert post(lone_door, f"release/{request_id}", "/a.fits").status_code == 200
    assert post(lone_door, f"release/{request_id}", "/b.fits", "/foreign.fits").status_code == 400
    assert post(lone_door, "release/gfal2-placeholder-id", "/b.fits").status_code == 404
    released = [row.released_at is not None for row in files_of(lone_door.database, request_id)]
    assert released == [True, False]


def test_where_files_are_is_told_path_by_path_whatever_is_asked(lone_door: ServedDoor) -> None:
    (lone_door.source / "night").mkdir(exist_ok=True)
    (lone_door.source / "night" / "known.fits").write_bytes(b"data")
    answer = post(lone_door, "archiveinfo", "/night/known.fits", "/nothing.fits", "/../../etc/passwd", "", "/a\0b")

    assert answer.status_code == 200
    assert answer.json()[0] == {"path": "/night/known.fits", "locality": "TAPE"}
    assert [(found["path"], "error" in found, "locality" in found) for found in answer.json()[1:]] == [
        ("/nothing.fits", True, False),
        ("/../../etc/passwd", True, False),
        ("", True, False),
        ("/a\0b", True, False),
    ]


def test_only_what_is_new_is_told_to_whoever_asks_since_when(lone_door: ServedDoor) -> None:
    request_id = staged(lone_door, "/a.fits", "/b.fits")
    first = look(lone_door, request_id)
    unchanged = look(lone_door, request_id, since=first["asOf"])
    post(lone_door, f"stage/{request_id}/cancel", "/b.fits")
    changed = look(lone_door, request_id, since=unchanged["asOf"])

    assert unchanged["files"] == []
    assert [found["path"] for found in changed["files"]] == ["/b.fits"]
    assert look(lone_door, request_id, since=changed["asOf"] + 60_000)["files"] == []


def test_a_file_whose_run_died_is_told_as_new(lone_door: ServedDoor) -> None:
    request_id = staged(lone_door, "/a.fits", "/b.fits")
    start_requests(lone_door.database, [request_id], flow_run_id="run", acting_as="alice")
    first, _ = files_of(lone_door.database, request_id)
    save_files(lone_door.database, [{"id": first.id, "status": Status.STARTED}])
    later = look(lone_door, request_id)["asOf"] + 60_000
    begun = look(lone_door, request_id, since=later)["files"]
    resubmit_requests(lone_door.database, "run", RunLost("its pod was killed"))
    [again] = look(lone_door, request_id, since=later)["files"]

    assert (begun, again["path"], again["state"]) == ([], "/a.fits", "SUBMITTED")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"files": []},
        {"files": [{"path": ""}]},
        {"files": [{"path": "/a\0b"}]},
        {"files": [file("/a.fits") | {"diskLifetime": "an hour"}]},
        {"files": [file("/a.fits") | {"diskLifetime": 3600}]},
        {"files": [file("/a.fits", method="no_such_method")]},
        {"files": [file("/a.fits", destination="")]},
        {"files": [file("/a.fits"), file("/b.fits", method="local_symlink")]},
    ],
)
def test_what_is_malformed_is_refused_with_400_as_problem_details(lone_door: ServedDoor, body: object) -> None:
    answer = lone_door.client.post("/api/v1/stage", json=body)

    assert answer.status_code == 400, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == 400


def test_a_request_of_another_door_is_not_known_here(lone_door: ServedDoor) -> None:
    request_id = lone_door.ask().json()["request_id"]

    assert lone_door.client.get(f"/api/v1/stage/{request_id}").status_code == 404
    assert lone_door.client.delete(f"/api/v1/stage/{request_id}").status_code == 404


def test_without_authentication_a_client_says_for_whom(lone_door: ServedDoor) -> None:
    assert stage(lone_door, {"path": "/a.fits"}).status_code == 403


def test_what_is_too_much_for_one_call_is_refused_or_answered_in_part(narrow_tape: ServedDoor) -> None:
    paths = ["/a.fits", "/b.fits", "/c.fits"]
    (narrow_tape.source / "a.fits").write_bytes(b"data")

    assert stage(narrow_tape, *map(file, paths)).status_code == 413
    assert [found["path"] for found in post(narrow_tape, "archiveinfo", *paths).json()] == paths[:2]
    narrow_tape.source.rename(narrow_tape.folder / "elsewhere")
    assert post(narrow_tape, "archiveinfo", "/a.fits").json() == [{"path": "/a.fits", "locality": "UNAVAILABLE"}]


@pytest.fixture
def narrow_tape(serve: Callable[..., AbstractContextManager[ServedDoor]], open_path: Path) -> Iterator[ServedDoor]:
    """A door that takes two files at a time."""
    where = {"database_url": f"sqlite:///{open_path}/records.db", "prefect_api": NO_PREFECT}
    with serve(open_path, **where, STAGER_MAX_ITEMS_IN_BODY="2") as door:
        yield door
