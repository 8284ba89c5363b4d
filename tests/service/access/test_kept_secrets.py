"""Secrets of users that the records keep, at a door that runs."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr
from sqlalchemy import update
from sqlmodel import col

from stager.app import create_app
from stager.errors import ConfigurationError, RunLost
from stager.models import StagingItem, StagingRequest, Status
from stager.records.requests import create_request, fail_request
from stager.records.tables import RequestSecret, StagingRequestRow
from stager.settings import Settings
from stager.user_secrets import SecretKeys
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from tests.service.conftest import ServedDoor

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
