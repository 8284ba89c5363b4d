"""What an answer says of itself."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from stager.errors import DestinationNotWritable, HomeFull, PeerFault, PeerRefused
from stager.peers.http import Answer
from stager.peers.jupyter.refusals import refusal_about


def answer(**headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer("The server", 429, httpx.Headers(named), b"")


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("", None),
        ("-1", None),
        ("soon", None),
        ("9" * 400, None),
        ("Fri, 31 Dec 9999 23:59:59 -2359", None),
    ],
)
def test_when_to_ask_again_is_read_in_either_form_and_else_not_known(said: str, seconds: float | None) -> None:
    assert answer(Retry_After=said).retry_after == seconds


def test_a_time_to_ask_again_is_told_as_seconds_from_now() -> None:
    in_an_hour = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    assert 0 < (answer(Retry_After=in_an_hour).retry_after or 0) <= 3600


def test_what_has_no_form_is_no_json() -> None:
    assert not answer().is_json
    assert answer(Content_Type="Application/JSON; charset=utf-8").is_json


SAVING = "Unexpected error while saving file: {path} [Errno {errno}] {words}: '/home/no space/{path}'"
NAMES = ["a.fits", "quota/disk full", "permission denied", 'it\'s "no space"', f"{'x' * 250}/{'x' * 250}/quota"]


@pytest.mark.parametrize("path", NAMES)
@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        (500, SAVING.format(path="{path}", errno=28, words="No space left on device"), HomeFull),
        (500, SAVING.format(path="{path}", errno=122, words="Disk quota exceeded"), HomeFull),
        (500, "Unexpected error while saving file: {path} database or disk is full", HomeFull),
        (500, SAVING.format(path="{path}", errno=5, words="Input/output error"), PeerFault),
        (403, "Permission denied: {path}", DestinationNotWritable),
        (403, "Forbidden: {path}", PeerRefused),
    ],
)
def test_what_a_refusal_means_does_not_depend_on_the_name_that_it_is_about(
    path: str, status: int, said: str, kind: type[Exception]
) -> None:
    content = json.dumps({"message": said.format(path=path)}).encode()
    told = Answer("The server", status, httpx.Headers({"Content-Type": "application/json"}), content)
    assert type(refusal_about(path, told)) is kind
