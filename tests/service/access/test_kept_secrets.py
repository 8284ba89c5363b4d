"""Secrets of users that the records keep, at a door that runs."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from sqlalchemy import update
from sqlmodel import SQLModel, col

from stager.app import create_app
from stager.errors import ConfigurationError, RunLost
from stager.models import StagingItem, StagingRequest, Status
from stager.records.requests import create_request, fail_request
from stager.records.tables import RequestSecret, StagingRequestRow
from stager.settings import Settings
from stager.user_secrets import SecretKeys
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from tests.service.conftest import PrefectServer, ServedDoor

SECRET = "open-sesame-6f1c"
KEY = base64.urlsafe_b64encode(b"\7" * 32).decode()
ASKED = StagingRequest(method="local_copy", username="alice", items=(StagingItem(source="a", destination="b"),))


def with_secret(door: ServedDoor) -> str:
    secret = SecretKeys(SecretStr(KEY)).take(SecretStr(SECRET))
    return create_request(door.database, ASKED, secret=secret).id


def is_kept(door: ServedDoor, request_id: str) -> bool:
    return door.database.read(lambda session: session.get(RequestSecret, request_id)) is not None


def test_what_another_version_left_of_a_secret_is_deleted(lone_door: ServedDoor) -> None:
    left, other = with_secret(lone_door), with_secret(lone_door)
    ended = update(StagingRequestRow).where(col(StagingRequestRow.id) == left).values(status=Status.FAILED)
    lone_door.database.write(lambda session: session.execute(ended) and None)
    deadline = time.monotonic() + PATIENCE
    while is_kept(lone_door, left):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert is_kept(lone_door, other)
    fail_request(lone_door.database, other, RunLost("it is not needed any more"))


def test_a_retry_of_a_request_that_had_a_secret_asks_for_it_again(lone_door: ServedDoor) -> None:
    request_id = with_secret(lone_door)
    fail_request(lone_door.database, request_id, RunLost("the run crashed"))
    refused = lone_door.client.post(f"/requests/{request_id}/retry")
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (409, "secret-gone")
    assert "give the secret again" in refused.json()["detail"]


def test_a_service_whose_key_is_none_does_not_start_and_does_not_repeat_it() -> None:
    with pytest.raises(ConfigurationError, match="STAGER_SECRET_KEY: key 1 in it") as refused:
        create_app(Settings(secret_key=SecretStr("hunter2")))
    assert "hunter2" not in str(refused.value)


def test_no_answer_about_a_request_shows_its_secret(lone_door: ServedDoor) -> None:
    request_id = with_secret(lone_door)
    paths = ("", "/items", "/events", "/explain", "/manifest", "/receipt")
    answers = [lone_door.client.get(f"/requests/{request_id}{path}") for path in paths]
    assert sum(answer.is_success for answer in answers) >= len(paths) - 1  # no receipt before it has ended
    assert not [answer.url for answer in answers if SECRET in answer.text or "sealed" in answer.text]
    fail_request(lone_door.database, request_id, RunLost("it is not needed any more"))


@pytest.fixture
def keeping_door(
    serve: Callable[..., AbstractContextManager[ServedDoor]], prefect: PrefectServer, database_url: str, open_path: Path
) -> Iterator[ServedDoor]:
    """A door with a key, where local_copy uses users' secrets."""
    app = "tests.service.access.door_with_secrets:create_app"
    settings = {"STAGER_WAIT": "0", "STAGER_SECRET_KEY": KEY}
    with serve(open_path, database_url=database_url, prefect_api=prefect.gated_api, app=app, **settings) as door:
        (door.source / "a.fits").write_bytes(b"SIMPLE")
        yield door


TERMS = {"method": "local_copy", "username": "alice"}
HEADER = {"X-Jupyter-Token": SECRET}
DEMO: dict[str, Any] = {"json": {"data": {"local_path_on_storage": "a.fits", "relative_path": "b.fits"}}}
# Each call that takes a secret, and how.
DOORS: dict[str, tuple[str, dict[str, Any]]] = {
    "demo, query": ("/stage_data", {"params": {**TERMS, "jupyter_token": SECRET}, **DEMO}),
    "demo, header": ("/stage_data", {"params": {**TERMS, "jupyter_token": "worse"}, "headers": HEADER, **DEMO}),
    "request": (
        "/requests",
        {"json": {**TERMS, "items": [{"source": "a.fits", "destination": "c.fits"}]}, "headers": HEADER},
    ),
    "manifest": (
        "/requests/from-manifest",
        {
            "params": TERMS,
            "content": b"source,destination\na.fits,d.fits\n",
            "headers": {**HEADER, "Content-Type": "text/csv"},
        },
    ),
    "tape": (
        "/api/v1/stage",
        {
            "json": {"files": [{"path": "/a.fits", "targetedMetadata": {"ska-staging": TERMS}}]},
            "headers": HEADER,
        },
    ),
}


def asked(door: ServedDoor, way: str, **more: str) -> str:
    path, call = DOORS[way]
    answer = door.client.post(path, **{**call, "headers": call.get("headers", {}) | more})
    assert answer.status_code == (201 if way == "tape" else 202), answer.text
    assert SECRET not in answer.text
    return str(answer.json()["requestId" if way == "tape" else "request_id"])


def kept(door: ServedDoor, request_id: str) -> str:
    row = door.database.read(lambda session: session.get(RequestSecret, request_id))
    assert row is not None
    return SecretKeys(SecretStr(KEY)).unseal(row.sealed, request_id=request_id).get_secret_value()


def test_each_door_keeps_a_secret_that_no_log_no_record_and_not_prefect_has(
    keeping_door: ServedDoor, prefect: PrefectServer
) -> None:
    ids = [asked(keeping_door, way) for way in DOORS]
    assert [kept(keeping_door, request_id) for request_id in ids] == [SECRET] * len(DOORS)
    for request_id in ids:
        run = keeping_door.eventually(request_id, lambda row: row["flow_run_id"] is not None)["flow_run_id"]
        assert SECRET not in prefect.client.get(f"/flow_runs/{run}").text
        assert keeping_door.client.post(f"/requests/{request_id}/cancel").is_success
        assert not is_kept(keeping_door, request_id)

    tables = SQLModel.metadata.sorted_tables
    records = keeping_door.database.read(lambda session: str([session.execute(one.select()).all() for one in tables]))
    assert SECRET not in records
    files = [file for folder in (keeping_door.folder, prefect.home) for file in folder.rglob("*") if file.is_file()]
    assert keeping_door.log_file in files
    assert [file for file in files if any(text.encode() in file.read_bytes() for text in (SECRET, KEY))] == []


def test_a_retry_takes_the_secret_again(keeping_door: ServedDoor) -> None:
    first = asked(keeping_door, "request")
    keeping_door.client.post(f"/requests/{first}/cancel")
    body = {"statuses": ["cancelled"]}
    refused = keeping_door.client.post(f"/requests/{first}/retry", json=body)
    again = keeping_door.client.post(f"/requests/{first}/retry", json=body, headers=HEADER)
    assert (refused.status_code, again.status_code) == (409, 202)
    assert kept(keeping_door, again.json()["request_id"]) == SECRET


def test_a_call_that_is_repeated_keeps_the_first_secret_and_one_without_is_another(keeping_door: ServedDoor) -> None:
    once = {"Idempotency-Key": "once"}
    for way in ("request", "manifest"):
        first, again = asked(keeping_door, way, **once), asked(keeping_door, way, **once, **{"X-Jupyter-Token": "new"})
        assert (again, kept(keeping_door, first)) == (first, SECRET)
        path, call = DOORS[way]
        headers = {name: value for name, value in call["headers"].items() if name not in HEADER} | once
        assert keeping_door.client.post(path, **{**call, "headers": headers}).status_code == 422
        once = {"Idempotency-Key": "twice"}


@pytest.mark.parametrize("secret", ["", "x" * 4097, "two words", b"token\xe9"])
def test_what_can_be_no_secret_is_refused(keeping_door: ServedDoor, secret: str | bytes) -> None:
    path, call = DOORS["request"]
    answer = keeping_door.client.post(path, **{**call, "headers": {"X-Jupyter-Token": secret}})
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (422, "invalid-secret")


def test_in_a_query_a_line_break_is_refused_too(keeping_door: ServedDoor) -> None:
    params = {**TERMS, "jupyter_token": f"{SECRET}\r\nX-More: 1"}
    answer = keeping_door.client.post("/stage_data", params=params, **DEMO)
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (422, "invalid-secret")
    assert SECRET not in answer.text


def test_without_a_key_a_secret_is_refused_and_what_needs_none_is_not(
    serve: Callable[..., AbstractContextManager[ServedDoor]], prefect: PrefectServer, database_url: str, open_path: Path
) -> None:
    app = "tests.service.access.door_with_secrets:create_app"
    with serve(open_path, database_url=database_url, prefect_api=prefect.gated_api, app=app, STAGER_WAIT="0") as door:
        refused, other = door.ask(headers=HEADER), door.ask(headers=HEADER, method="local_symlink")
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (403, "secret-key-missing")
    assert "STAGER_SECRET_KEY" in refused.json()["detail"]
    assert other.status_code == 202
