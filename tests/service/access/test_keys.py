"""An issuer is asked for its keys seldom, and may be away for a while: asked of a real OpenID provider."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
import pytest

from stager.errors import IssuerUnavailable
from stager.service.callers import issuer as issuers
from stager.service.callers.issuer import Issuer
from stager.service.callers.rules import IssuerRules

if TYPE_CHECKING:
    from conftest import Provider

MANY = 100


def test_keys_are_asked_for_once_and_serve_for_a_while_when_the_issuer_is_away(
    own_provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths: list[str] = []

    async def note(request: httpx.Request) -> None:
        paths.append(request.url.path)

    async def look() -> None:
        async with httpx.AsyncClient(event_hooks={"request": [note]}) as http:
            issuer = Issuer(IssuerRules(url=own_provider.url, audiences=("any",)), http)
            keys = await asyncio.gather(*(issuer.keys(None) for _ in range(MANY)))
            assert paths == ["/.well-known/openid-configuration", "/jwks"]

            monkeypatch.setattr(issuers, "FRESH_FOR", 0.0)
            monkeypatch.setattr(issuers, "PAUSE", 0.0)
            own_provider.stop()
            assert await issuer.keys(None) is keys[0]

            monkeypatch.setattr(issuers, "LAST_FOR", 0.0)
            with pytest.raises(IssuerUnavailable, match="has not given its keys"):
                await issuer.keys(None)

    asyncio.run(look())
