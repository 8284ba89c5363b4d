"""What a caller may do, and what they see of others."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from conftest import Provider, ServedDoor


def stage(door: ServedDoor, headers: dict[str, str], username: str, **more: str) -> httpx.Response:
    return door.stage(username=username, headers=headers, **more)


def test_a_user_stages_in_their_own_name_only(guarded_door: ServedDoor, alice: dict[str, str]) -> None:
    answers = [stage(guarded_door, alice, name) for name in ("alice", "bob", "nobody-knows")]

    assert [answer.status_code for answer in answers] == [202, 403, 403]
    assert answers[1].json()["detail"] == "Not allowed: alice may not act for bob"


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
    assert answer.json()["detail"] == "Not allowed: bob may not use the storage area user"
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
    where = {"database_url": database_url, "prefect_api": "http://127.0.0.1:9/api"}
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
    where = {"database_url": database_url, "prefect_api": "http://127.0.0.1:9/api", "STAGER_USERS_FILE": str(people)}
    with serve(tmp_path, **where, STAGER_WAIT="0", STAGER_MAX_OPEN_REQUESTS="3") as door:
        answers = [door.stage(username="alice", destination=f"{n}") for n in range(4)]
        other = door.stage(username="bob")

    assert [answer.status_code for answer in answers] == [202, 202, 202, 429]
    assert (answers[3].headers["retry-after"], answers[3].json()["detail"]) == (
        "30",
        "alice has 3 open requests already: wait until some have ended",
    )
    assert other.status_code == 202
