"""An issuer is asked for its keys seldom, and may be away for a while: asked of a real OpenID provider."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from stager.callers import issuer as issuers
from stager.callers import issuer_answers, userinfo
from stager.callers.access_rules import IssuerRules
from stager.callers.issuer import Issuer
from stager.errors import IssuerUnavailable, TokenInvalid

if TYPE_CHECKING:
    from tests.service.access.conftest import Provider

MANY = 100


class Way:
    """The way to an issuer, which can go silent: it takes what is sent, and answers nothing."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.is_silent = False
        self.is_asked = asyncio.Event()
        self._speaks = asyncio.Event()

    async def pass_on(self, request: httpx.Request) -> None:
        self.paths.append(request.url.path)
        self.is_asked.set()
        if self.is_silent:
            await self._speaks.wait()

    def speak(self) -> None:
        self.is_silent = False
        self._speaks.set()


@asynccontextmanager
async def issuer_of(provider: Provider) -> AsyncIterator[tuple[Issuer, Way]]:
    way = Way()
    async with httpx.AsyncClient(event_hooks={"request": [way.pass_on]}) as http:
        issuer = Issuer(IssuerRules(url=provider.url, audiences=("any",)), http)
        yield issuer, way
        issuer.close()


def test_keys_are_asked_for_once_and_serve_for_a_while_when_the_issuer_is_away(
    own_provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def look() -> None:
        async with issuer_of(own_provider) as (issuer, way):
            keys = await asyncio.gather(*(issuer.keys(None) for _ in range(MANY)))
            assert way.paths == ["/.well-known/openid-configuration", "/jwks"]

            monkeypatch.setattr(issuers, "FRESH_SECONDS", 0.0)
            monkeypatch.setattr(issuers, "KEYS_RETRY_SECONDS", 0.0)
            own_provider.stop()
            assert await issuer.keys(None) is keys[0]

            monkeypatch.setattr(issuers, "KEPT_SECONDS", 0.0)
            with pytest.raises(IssuerUnavailable, match="has not provided its keys"):
                await issuer.keys(None)

    asyncio.run(look())


def test_old_keys_serve_at_once_while_one_question_for_new_ones_is_under_way(
    site: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever waits for a silent issuer waits for good.
    monkeypatch.setattr(issuer_answers, "ISSUER_ANSWER_SECONDS", 3600.0)
    monkeypatch.setattr(issuers, "KEYS_RETRY_SECONDS", 0.0)

    async def look() -> None:
        async with issuer_of(site) as (issuer, way):
            keys = await issuer.keys(None)
            monkeypatch.setattr(issuers, "FRESH_SECONDS", 0.0)
            way.is_silent = True
            way.is_asked.clear()
            known = str(site.published_key()["kid"])

            async with asyncio.timeout(60):
                assert [await issuer.keys(known) for _ in range(MANY)] == [keys] * MANY
                await way.is_asked.wait()
                assert [await issuer.keys(known) for _ in range(MANY)] == [keys] * MANY
            assert way.paths[2:] == ["/.well-known/openid-configuration"]

            way.speak()
            async with asyncio.timeout(60):
                while await issuer.keys(known) is keys:  # noqa: ASYNC110 - nothing tells that they are new
                    await asyncio.sleep(0.01)
            assert way.paths[2:4] == ["/.well-known/openid-configuration", "/jwks"]

    asyncio.run(look())


def test_whoever_has_an_unknown_key_waits_for_one_question_together_and_then_for_none(
    site: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuer_answers, "ISSUER_ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(issuers, "KEYS_RETRY_SECONDS", 0.0)

    async def look() -> None:
        async with issuer_of(site) as (issuer, way):
            keys = await issuer.keys(None)
            monkeypatch.setattr(issuers, "KEYS_RETRY_SECONDS", 3600.0)
            way.is_silent = True

            found = await asyncio.gather(*(issuer.keys(f"unknown-{n}") for n in range(MANY)))
            found += [await issuer.keys("unknown") for _ in range(MANY)]
            assert found == [keys] * 2 * MANY
            assert way.paths[2:] == ["/.well-known/openid-configuration"]

    asyncio.run(look())


def test_what_an_issuer_said_of_a_user_serves_while_it_is_silent_and_a_refusal_counts_at_once(
    own_provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuer_answers, "ISSUER_ANSWER_SECONDS", 0.5)
    token = own_provider.bare_token("alice", {"name": "Alice"})
    unknown = own_provider.token("nobody-asked-userinfo", header={"typ": "JWT"})

    async def look() -> None:
        async with issuer_of(own_provider) as (issuer, way):

            def ask(text: str, sub: str) -> Awaitable[dict[str, object]]:
                return issuer.userinfo(text, subject=sub)

            said = await asyncio.gather(*(ask(token, "alice") for _ in range(MANY)))
            assert way.paths.count("/iam/userinfo") == 1
            assert {one["name"] for one in said} == {"Alice"}
            with pytest.raises(TokenInvalid, match="its issuer rejects it"):
                await ask(unknown, "nobody-asked-userinfo")

            monkeypatch.setattr(userinfo, "FRESH_SECONDS", 0.0)
            way.is_silent = True
            asked = len(way.paths)
            again = [await ask(token, "alice") for _ in range(MANY)]
            assert again == said
            assert len(way.paths) == asked + 1
            with pytest.raises(IssuerUnavailable):
                await ask(unknown, "nobody-asked-userinfo")

    asyncio.run(look())


def test_an_issuer_that_answers_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuer_answers, "MAX_ANSWER_BYTES", 1000)

    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                writer.write(b" " * 1000)
                await writer.drain()
        except ConnectionError:
            writer.close()

    async def look() -> None:
        async with await asyncio.start_server(endless, "127.0.0.1", family=socket.AF_INET) as server:
            address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with httpx.AsyncClient() as http:
                with pytest.raises(IssuerUnavailable, match="more than 1000 bytes"):
                    await issuer_answers.get_json(http, address)

    asyncio.run(look())
