"""What each call to Prefect shows of who asks, and whom it trusts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from stager.dispatch.prefect import PrefectClient
from stager.errors import ConfigurationError
from stager.settings import Settings

pytestmark = pytest.mark.any_database


@contextmanager
def listening() -> Iterator[tuple[str, list[Any]]]:
    """Give the address of a server that takes everybody, and the headers of each call that came."""
    came: list[Any] = []

    class Taker(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            came.append(self.headers)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Taker) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/api", came
        finally:
            server.shutdown()


async def check(settings: Settings) -> None:
    async with PrefectClient(settings) as prefect:
        await prefect.check()


@pytest.mark.parametrize(
    ("variables", "authorization"),
    [
        ({"PREFECT_API_KEY": "pnu_key"}, "Bearer pnu_key"),
        ({"PREFECT_API_KEY": "pnu_key", "PREFECT_API_AUTH_STRING": "tests:pw"}, "Basic dGVzdHM6cHc="),
        ({"PREFECT_CLIENT_CUSTOM_HEADERS": '{"Authorization": "Bearer proxy"}'}, "Bearer proxy"),
        ({}, None),
    ],
)
def test_a_key_is_shown_as_a_bearers_unless_there_is_a_password(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], authorization: str | None
) -> None:
    for name in ("PREFECT_API_KEY", "PREFECT_API_AUTH_STRING", "PREFECT_CLIENT_CUSTOM_HEADERS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with listening() as (api, came):
        settings = Settings(prefect_api_url=api)
        asyncio.run(check(settings))

    assert [headers["Authorization"] for headers in came] == [authorization] * 2
    assert not any(secret in repr(settings) for secret in ("pnu_key", "tests:pw", "Bearer proxy"))


def test_what_a_proxy_in_front_wants_is_in_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_CLIENT_CUSTOM_HEADERS", '{"X-Let-In": "sesame", "X-Site": "skao"}')
    with listening() as (api, came):
        asyncio.run(check(Settings(prefect_api_url=api)))

    assert [(headers["X-Let-In"], headers["X-Site"]) for headers in came] == [("sesame", "skao")] * 2


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_of_authorities_that_is_none_is_named(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "authorities.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigurationError, match=rf"{file}: PREFECT_API_SSL_CERT_FILE is not a file of certificates"):
        PrefectClient(Settings(prefect_api_ssl_cert_file=file))
