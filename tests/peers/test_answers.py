"""What an answer says of itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from stager.peers.http import Answer


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
