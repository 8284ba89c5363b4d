"""An address for a browser, which carries no token: one object, one use, a minute."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from sqlalchemy import update
from sqlmodel import col, select

from stager.records.tables import DownloadLink
from tests.ports import NO_PREFECT

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.service.conftest import ServedDoor
    from tests.service.downloads.conftest import Shelf

SMALL, LARGE = 1000, 3 * 1024 * 1024 + 7


def make(shelf: Shelf, path: str, area: str = "source", **query: str) -> httpx.Response:
    return shelf.door.client.post(f"{shelf.address(path, area)}/link", params=query)


def secret_of(answer: httpx.Response) -> str:
    [secret] = parse_qs(urlsplit(answer.json()["url"]).query)["token"]
    return str(secret)


def follow(door: ServedDoor, secret: str, headers: dict[str, str] | None = None, **query: str) -> httpx.Response:
    return door.client.get("/links", params={"token": secret} | query, headers=headers)


def problem(answer: httpx.Response) -> dict[str, Any]:
    return {name: said for name, said in answer.json().items() if name != "http_request_id"}


def test_a_link_leads_to_its_file_once_and_then_is_as_one_that_never_was(shelf: Shelf, file: Path) -> None:
    made = make(shelf, file.name)
    first, second, other = (follow(shelf.door, secret) for secret in (*[secret_of(made)] * 2, "never-made"))

    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    assert made.json()["url"].startswith("http://127.0.0.1:8000/links?token=")
    assert (first.status_code, first.content) == (200, file.read_bytes())
    assert first.headers["content-disposition"] == f'attachment; filename="{file.name}"'
    assert (first.headers["cache-control"], first.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert (second.status_code, problem(second)) == (404, problem(other))


def test_a_link_counts_for_a_minute(shelf: Shelf) -> None:
    shelf.put("in-time", b"data")
    before = datetime.now(UTC)
    made = make(shelf, "in-time")
    lasts = datetime.fromisoformat(made.json()["expires_at"]) - before
    past = update(DownloadLink).where(col(DownloadLink.digest) == digest(secret_of(made)))
    shelf.door.database.write(lambda session: session.execute(past.values(expires_at=before)) and None)

    assert timedelta(seconds=59) < lasts
    assert problem(follow(shelf.door, secret_of(made))) == problem(follow(shelf.door, "never-made"))


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def test_a_link_leads_to_its_own_object_whatever_else_is_said(shelf: Shelf) -> None:
    shelf.put("linked", b"linked")
    shelf.put("other", b"other")
    secret = secret_of(make(shelf, "linked"))

    others: list[dict[str, Any]] = [{"area": "source"}, {"path": "other"}, {"username": "bob"}, {"archive": "zip"}]
    for more in others:
        assert follow(shelf.door, secret, **more).status_code == 422
    assert follow(shelf.door, secret).content == b"linked"


def test_a_head_says_what_a_link_leads_to_and_takes_nothing(shelf: Shelf, file: Path) -> None:
    secret = secret_of(make(shelf, file.name))
    heads = [shelf.door.client.head(f"/links?token={secret}") for _ in range(2)]
    answer = follow(shelf.door, secret)

    assert [(head.status_code, head.headers["etag"]) for head in heads] == [(200, answer.headers["etag"])] * 2
    assert answer.content == file.read_bytes()
    assert shelf.door.client.head(f"/links?token={secret}").status_code == 404


def test_of_many_who_follow_a_link_at_once_at_several_services_one_gets_the_file(
    shelf: Shelf, serve: Callable[..., AbstractContextManager[ServedDoor]], tmp_path: Path
) -> None:
    shelf.put("wanted", b"data")
    areas = {"SOURCE_STORAGE_PATH": str(shelf.door.source), "TARGET_STORAGE_PATH": str(shelf.door.user_areas)}
    with serve(tmp_path, database_url=shelf.door.database_url, prefect_api=NO_PREFECT, **areas) as second:
        for _ in range(5):
            secret = secret_of(make(shelf, "wanted"))
            with ThreadPoolExecutor(10) as threads:
                answers = list(threads.map(lambda door, one=secret: follow(door, one), [shelf.door, second] * 10))
            assert sorted(answer.status_code for answer in answers) == [200] + [404] * 19


def test_the_first_call_by_a_link_may_ask_for_a_part(shelf: Shelf, file: Path) -> None:
    secret = secret_of(make(shelf, file.name))
    first, rest = (follow(shelf.door, secret, {"Range": span}) for span in ("bytes=0-9", "bytes=10-"))

    assert (first.status_code, first.content, rest.status_code) == (206, file.read_bytes()[:10], 404)


def test_a_link_to_a_directory_sends_the_archive_that_was_asked_for(shelf: Shelf) -> None:
    shelf.put("linked-tree/a", b"a")
    answers = [follow(shelf.door, secret_of(make(shelf, "linked-tree", archive=kind))) for kind in ("tar", "zip")]

    assert [answer.headers["content-type"] for answer in answers] == ["application/x-tar", "application/zip"]
    assert answers[1].content.startswith(b"PK")


@pytest.mark.parametrize("name", ["link", "deep/link", "odd\udcff", "a b?#%2F"])
def test_a_link_may_be_made_of_any_name(shelf: Shelf, name: str) -> None:
    shelf.put(name, b"data")
    assert follow(shelf.door, secret_of(make(shelf, name))).content == b"data"


def test_the_secret_of_a_link_is_in_no_log_and_no_record(shelf: Shelf) -> None:
    shelf.put("secretly", b"data")
    secret = secret_of(make(shelf, "secretly"))
    answers = [follow(shelf.door, secret), follow(shelf.door, secret), shelf.door.client.head(f"/links?token={secret}")]
    kept = shelf.door.database.read(lambda session: str([vars(row) for row in session.scalars(select(DownloadLink))]))
    said = [log.read_text() for log in (shelf.door.log_file, shelf.door.folder / "console.log")]

    assert [answer.status_code for answer in answers] == [200, 404, 404]
    assert secret not in "".join([*said, kept])
    assert digest(secret) in kept


@pytest.mark.parametrize(
    ("path", "area", "status"), [("missing", "source", 404), ("../secret", "source", 403), ("x", "nowhere", 404)]
)
def test_there_is_no_link_to_what_cannot_be_downloaded(shelf: Shelf, path: str, area: str, status: int) -> None:
    answer = shelf.door.client.post(f"/files/{area}/{path.replace('/', '%2F')}/link")
    assert answer.status_code == status


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to read as somebody else")
@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_link_is_made_and_followed_with_its_users_rights(open_shelf: Shelf, size: int) -> None:
    file = open_shelf.put(f"linked-{size}", open_shelf.content(size))
    os.chown(file, 70_001, 70_010)
    file.chmod(0o600)
    alices, bobs = (make(open_shelf, file.name, username=name) for name in ("alice", "bob"))
    taken = secret_of(alices)
    os.chown(file, 70_002, 70_010)
    answer = follow(open_shelf.door, taken)

    assert (alices.status_code, bobs.status_code, answer.status_code) == (201, 403, 403)
