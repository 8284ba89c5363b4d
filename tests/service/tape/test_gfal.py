"""Debian's gfal2 drives the service by TLS as it drives every grid storage: unchanged."""

from __future__ import annotations

import errno
import json
from typing import TYPE_CHECKING, Any

import pytest

from stager.models import Status
from stager.records.items import files_of

if TYPE_CHECKING:
    from tests.gfal import Gfal
    from tests.service.conftest import ServedDoor

pytestmark = [pytest.mark.any_database, pytest.mark.stack]

DONE: dict[str, Any] = {"status": Status.COMPLETED}
FAILED: dict[str, Any] = {
    "status": Status.FAILED,
    "error_type": "SourceNotFound",
    "error_reason": "Source path does not exist: b.fits",
}
MANY = 250


def addresses(door: ServedDoor, *names: str) -> list[str]:
    return [f"davs://{door.url.removeprefix('https://')}/{name}" for name in names]


def brought_online(gfal: Gfal, urls: list[str]) -> str:
    """Return the token of a request that gfal2 has made of some files."""
    metadata = [json.dumps({"ska-staging": {"username": "alice"}})] * len(urls)
    answer = gfal("bring_online", urls=urls, metadata=metadata, pin=3600)
    assert answer["errors"] == [None] * len(urls), answer
    return str(answer["token"])


def codes(told: list[Any]) -> list[int | None]:
    return [error and error["code"] for error in told]


def test_gfal_finds_the_api_and_the_sites_name(gfal: Gfal, tls_door: ServedDoor) -> None:
    [url] = addresses(tls_door, "a.fits")

    assert gfal("attribute", url=url, name="taperestapi.sitename") == "ska-staging"
    assert gfal("attribute", url=url, name="taperestapi.version") == "v1"


def test_gfal_brings_many_files_online_and_sees_when_they_are(gfal: Gfal, tls_door: ServedDoor) -> None:
    urls = addresses(tls_door, *(f"many/{number}.fits" for number in range(MANY)))
    token = brought_online(gfal, urls)
    waiting = gfal("poll", urls=urls, token=token)
    tls_door.end(token, *[DONE] * MANY)
    ended = gfal("poll", urls=urls, token=token)

    assert len(files_of(tls_door.database, token)) == MANY
    assert codes(waiting) == [errno.EAGAIN] * MANY
    assert ended == [None] * MANY


def test_gfal_is_told_file_by_file_what_failed(gfal: Gfal, tls_door: ServedDoor) -> None:
    urls = addresses(tls_door, "a.fits", "b.fits")
    token = brought_online(gfal, urls)
    tls_door.end(token, DONE, FAILED)
    there, failed = gfal("poll", urls=urls, token=token)

    assert there is None
    assert "Source path does not exist: b.fits" in failed["message"]


def test_gfal_aborts_some_files_and_the_others_go_on(gfal: Gfal, tls_door: ServedDoor) -> None:
    urls = addresses(tls_door, "a.fits", "b.fits")
    token = brought_online(gfal, urls)

    assert gfal("abort", urls=urls[:1], token=token) == [None]
    assert [file.status for file in files_of(tls_door.database, token)] == [Status.CANCELLED, Status.SUBMITTED]


def test_gfal_cannot_abort_what_is_not_its_requests(gfal: Gfal, tls_door: ServedDoor) -> None:
    urls = addresses(tls_door, "a.fits", "b.fits")
    token = brought_online(gfal, urls)

    assert None not in gfal("abort", urls=[*urls, *addresses(tls_door, "foreign.fits")], token=token)
    assert {file.status for file in files_of(tls_door.database, token)} == {Status.SUBMITTED}


def test_gfal_releases_what_it_brought_online(gfal: Gfal, tls_door: ServedDoor) -> None:
    urls = addresses(tls_door, "a.fits", "b.fits")
    token = brought_online(gfal, urls)
    tls_door.end(token, DONE, DONE)

    assert gfal("release", urls=urls[:1], token=token) == [None]
    assert [bool(file.released_at) for file in files_of(tls_door.database, token)] == [True, False]


def test_gfal_sees_which_files_are_archived(gfal: Gfal, tls_door: ServedDoor) -> None:
    (tls_door.source / "archived.fits").write_bytes(b"data")
    archived, missing = addresses(tls_door, "archived.fits", "missing.fits")
    there, error = gfal("archive_poll", urls=[archived, missing])

    assert there is None
    assert "Source path does not exist" in error["message"]
    assert gfal("attribute", url=archived, name="user.status").strip() == "NEARLINE"
