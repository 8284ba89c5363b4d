"""What a caller may do, and what they see of others."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from stager.models import Status
from tests.patience import PATIENCE
from tests.ports import NO_PREFECT

if TYPE_CHECKING:
    from tests.service.access.conftest import Provider
    from tests.service.conftest import ServedDoor

DELIVERED: dict[str, Any] = {"status": Status.COMPLETED}


def stage(door: ServedDoor, headers: dict[str, str], username: str, **more: Any) -> httpx.Response:
    return door.stage(username=username, headers=headers, **more)


def test_a_user_stages_in_their_own_name_only(guarded_door: ServedDoor, alice: dict[str, str]) -> None:
    answers = [stage(guarded_door, alice, name) for name in ("alice", "bob", "nobody-knows")]

    assert [answer.status_code for answer in answers] == [202, 403, 403]
    assert answers[1].json()["detail"] == "Not allowed: alice may not act for bob"


STAGING = {"method": "local_copy"}
PATHS = {"local_path_on_storage": "a.fits", "relative_path": "b.fits"}
ITEM = {"source": "a.fits", "destination": "b.fits"}
UPLOAD = {"content": b"source,destination\na.fits,b.fits\n", "headers": {"Content-Type": "text/csv"}}
# Each way to ask for a staging, and where a user name would stand in it.
DOORS: dict[str, tuple[str, dict[str, Any]]] = {
    "/requests": ("body", {"json": {**STAGING, "items": [ITEM]}}),
    "/requests/from-manifest": ("query", {"params": STAGING, **UPLOAD}),
    "/stage_data": ("query", {"params": STAGING, "json": {"data": PATHS}}),
}


def ask(door: ServedDoor, path: str, headers: dict[str, str], username: str | None = None) -> httpx.Response:
    place, call = DOORS[path]
    where = "json" if place == "body" else "params"
    named = {where: {**call[where], "username": username}} if username else {}
    return door.client.post(path, **{**call, **named, "headers": {**call.get("headers", {}), **headers}})


@pytest.mark.parametrize("path", DOORS)
def test_who_names_nobody_asks_for_whom_the_token_says(
    guarded_door: ServedDoor, alice: dict[str, str], fts: dict[str, str], path: str
) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    ours, the_same = (ask(guarded_door, path, {**alice, **key}, name) for name in (None, "alice"))
    services = ask(guarded_door, path, fts)

    assert [answer.status_code for answer in (ours, the_same, services)] == [202, 202, 202]
    assert ours.headers["location"] == the_same.headers["location"]
    users = [guarded_door.client.get(answer.headers["location"], headers=fts).json() for answer in (ours, services)]
    assert [request["username"] for request in users] == ["alice", "fts"]
    assert ask(guarded_door, path, alice, "bob").status_code == 403


@pytest.mark.parametrize("path", DOORS)
def test_without_authentication_somebody_must_be_named(lone_door: ServedDoor, path: str) -> None:
    answer = ask(lone_door, path, {})

    assert answer.status_code == 422
    assert [(wrong["loc"], wrong["type"]) for wrong in answer.json()["detail"]] == [
        ([DOORS[path][0], "username"], "missing")
    ]


def test_a_service_asks_in_anybodys_name(guarded_door: ServedDoor, fts: dict[str, str]) -> None:
    assert stage(guarded_door, fts, "bob").status_code == 202


def test_anothers_request_is_as_if_there_were_none(
    guarded_door: ServedDoor, alice: dict[str, str], bob: dict[str, str], fts: dict[str, str]
) -> None:
    ours = stage(guarded_door, alice, "alice").json()["request_id"]
    get = guarded_door.client.get

    assert get(f"/requests/{ours}", headers=alice).json()["username"] == "alice"
    assert get(f"/requests/{ours}", headers=fts).status_code == 200
    theirs, none = (get(f"/requests/{id_}", headers=bob) for id_ in (ours, "0" * 32))
    assert (theirs.status_code, none.status_code) == (404, 404)
    assert theirs.json()["detail"].replace(ours, "") == none.json()["detail"].replace("0" * 32, "")
    assert get("/requests", params={"cursor": ours}, headers=bob).status_code == 404


def test_no_call_about_a_request_tells_another_user_that_it_is_there(
    guarded_door: ServedDoor, alice: dict[str, str], bob: dict[str, str]
) -> None:
    paths = guarded_door.client.get("/openapi.json").json()["paths"]
    calls = [(verb, path) for path, verbs in paths.items() if "{request_id}" in path for verb in verbs]

    def status_and_detail(verb: str, path: str, request_id: str, who: dict[str, str]) -> tuple[int, str]:
        body = {"paths": ["/a.fits"]} if path.startswith("/api/v1") and verb == "post" else None
        with guarded_door.client.stream(verb, path.format(request_id=request_id), headers=who, json=body) as answer:
            if answer.status_code != 404:  # a stream of events would not end
                return answer.status_code, ""
            answer.read()
            return 404, str(answer.json()["detail"]).replace(request_id, "")

    assert len(calls) > 10
    for verb, path in calls:
        is_tape = path.startswith("/api/v1")
        ours = (
            guarded_door.client.post("/api/v1/stage", json={"files": [{"path": "/a.fits"}]}, headers=alice)
            if is_tape
            else ask(guarded_door, "/requests", alice)
        ).json()["requestId" if is_tape else "request_id"]
        theirs, none = (status_and_detail(verb, path, request_id, bob) for request_id in (ours, "0" * 32))
        assert theirs == none, (verb, path)
        assert theirs[0] == 404
        assert status_and_detail(verb, path, ours, alice)[0] != 404


def test_a_list_holds_only_what_the_caller_may_see(
    guarded_door: ServedDoor, alice: dict[str, str], bob: dict[str, str], fts: dict[str, str]
) -> None:
    stage(guarded_door, alice, "alice")
    stage(guarded_door, bob, "bob")

    def users(headers: dict[str, str], **params: str) -> set[str]:
        page = guarded_door.client.get("/requests", params=params, headers=headers).json()
        return {request["username"] for request in page["requests"]}

    assert users(bob) == {"bob"}
    assert users(bob, username="alice") == set()
    assert {"alice", "bob"} <= users(fts)


def test_groups_decide_methods_and_areas(guarded_door: ServedDoor, site: Provider, alice: dict[str, str]) -> None:
    readers = {"Authorization": f"Bearer {site.token(preferred_username='bob', groups=['ska/readers'])}"}
    nobody = {"Authorization": f"Bearer {site.token(preferred_username='bob')}"}

    assert stage(guarded_door, alice, "alice", method="local_symlink").status_code == 403
    answer = stage(guarded_door, readers, "bob", method="local_symlink")
    assert answer.json()["detail"] == "Not allowed: bob may not stage to the storage area user"
    assert stage(guarded_door, readers, "bob", method="direct_download").status_code == 200
    assert stage(guarded_door, nobody, "bob").status_code == 403


def test_the_log_is_for_administrators(
    guarded_door: ServedDoor, alice: dict[str, str], fts: dict[str, str], operator: dict[str, str]
) -> None:
    answers = [guarded_door.client.get("/logs/?lines=1", headers=who) for who in (alice, fts, operator)]

    assert [answer.status_code for answer in answers] == [403, 403, 200]


def test_a_door_says_whether_authentication_is_on(guarded_door: ServedDoor, lone_door: ServedDoor) -> None:
    assert guarded_door.client.get("/config").json()["authentication"] == "on"
    assert lone_door.client.get("/config").json()["authentication"] == "off"
    assert "Authentication is off" in lone_door.log_file.read_text()


def test_no_token_reaches_the_log(guarded_door: ServedDoor, alice: dict[str, str]) -> None:
    answer = stage(guarded_door, alice, "alice", params={"jupyter_token": "sesame"})

    assert answer.status_code == 202
    token = alice["Authorization"].split()[1]
    for log in (guarded_door.log_file, guarded_door.folder / "console.log"):
        assert token not in log.read_text()
        assert "sesame" not in log.read_text()


def test_a_key_that_is_known_is_answered_also_to_a_user_with_too_much_open(
    serve: Callable[..., AbstractContextManager[ServedDoor]], database_url: str, tmp_path: Path
) -> None:
    where = {"database_url": database_url, "prefect_api": NO_PREFECT}
    with serve(tmp_path, **where, STAGER_WAIT="0", STAGER_MAX_OPEN_REQUESTS="1") as door:
        first, again = (door.ask(headers={"Idempotency-Key": "mine"}) for _ in range(2))
        changed = door.ask(("c", "d"), headers={"Idempotency-Key": "mine"})
        other = door.ask(headers={"Idempotency-Key": "another"})

    assert [answer.status_code for answer in (first, again, changed, other)] == [202, 202, 422, 429]
    assert again.json()["request_id"] == first.json()["request_id"]


def test_a_user_with_too_much_open_is_told_to_wait_and_others_are_served(
    serve: Callable[..., AbstractContextManager[ServedDoor]], database_url: str, tmp_path: Path
) -> None:
    people = tmp_path / "people.toml"
    people.write_text("".join(f"[users.{name}]\nuid = 1000\ngid = 1000\n" for name in ("alice", "bob")))
    where = {"database_url": database_url, "prefect_api": NO_PREFECT, "STAGER_USERS_FILE": str(people)}
    with serve(tmp_path, **where, STAGER_WAIT="0", STAGER_MAX_OPEN_REQUESTS="3") as door:
        answers = [door.stage(username="alice", destination=f"{n}") for n in range(4)]
        other = door.stage(username="bob")

    assert [answer.status_code for answer in answers] == [202, 202, 202, 429]
    assert (answers[3].headers["retry-after"], answers[3].json()["detail"]) == (
        "30",
        "alice has 3 open requests already: wait until some have ended",
    )
    assert other.status_code == 202


@pytest.fixture
def narrow_guarded_door(
    guarded_door: ServedDoor, serve: Callable[..., AbstractContextManager[ServedDoor]], tmp_path: Path
) -> Iterator[ServedDoor]:
    """A door of the same rules at which a user may hold three long calls."""
    where = {"database_url": f"sqlite:///{tmp_path}/records.db", "prefect_api": NO_PREFECT}
    files = {"STAGER_ACCESS_FILE": "access.toml", "STAGER_USERS_FILE": "people.toml"}
    rules = {name: str(guarded_door.folder / file) for name, file in files.items()}
    with serve(tmp_path, **where, **rules, STAGER_WAIT="0", STAGER_MAX_LONG_CALLS="3") as door:
        yield door


def test_a_user_with_too_many_long_calls_gets_no_more_of_them_and_others_do(
    narrow_guarded_door: ServedDoor, alice: dict[str, str], bob: dict[str, str]
) -> None:
    client = narrow_guarded_door.client

    def watch(stack: ExitStack, who: dict[str, str]) -> httpx.Response:
        return stack.enter_context(client.stream("GET", "/requests/stream", headers=who))

    def upload(who: dict[str, str], username: str) -> httpx.Response:
        terms = {"method": "local_copy", "username": username}
        headers = {**who, "Content-Type": "text/csv"}
        return client.post(
            "/requests/from-manifest", params=terms, content="source,destination\na,b\n", headers=headers
        )

    with ExitStack() as stack:
        held = [watch(stack, alice).status_code for _ in range(3)]
        refused = watch(stack, alice)
        others = [watch(stack, bob).status_code, upload(bob, "bob").status_code]
        uploaded = upload(alice, "alice")
        refused.read()
    with ExitStack() as stack:
        deadline = time.monotonic() + PATIENCE
        while (again := watch(stack, alice).status_code) != 200:  # the service sees that a client left at its next word
            assert time.monotonic() < deadline
            time.sleep(0.1)

    assert (held, others, again) == ([200] * 3, [200, 202], 200)
    assert [refused.status_code, uploaded.status_code] == [429, 429]
    assert refused.headers["retry-after"] == "30"
    assert refused.json()["type"].endswith("/problems/too-many-long-calls")


def test_a_call_that_would_wait_is_answered_at_once_when_its_user_has_too_many(
    serve: Callable[..., AbstractContextManager[ServedDoor]], tmp_path: Path
) -> None:
    where = {"database_url": f"sqlite:///{tmp_path}/records.db", "prefect_api": NO_PREFECT}
    with serve(tmp_path, **where, STAGER_MAX_LONG_CALLS="1") as door, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(door.ask, headers={"Prefer": "wait=60"})
        while not (found := door.client.get("/requests").json()["requests"]):
            time.sleep(0.05)
        other = door.ask(("c", "d"), headers={"Prefer": "wait=60"})
        is_waiting = not waiting.done()
        door.end(found[0]["request_id"], DELIVERED)
        ended = waiting.result()

    assert (other.status_code, "preference-applied" in other.headers, is_waiting) == (202, False, True)
    assert ended.headers["preference-applied"].startswith("wait=")
    assert (ended.status_code, ended.json()["status"]) == (200, "completed")
