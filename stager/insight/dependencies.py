"""FastAPI dependencies of the routes that show what goes on: the live feed, and Prefect's client."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from stager.dispatch.prefect import PrefectClient
from stager.insight.live.feed import Feed


async def _feed(request: Request) -> Feed:  # async, as both, or FastAPI calls them in threads
    feed: Feed = request.app.state.feed
    return feed


async def _prefect(request: Request) -> PrefectClient:
    prefect: PrefectClient = request.app.state.prefect
    return prefect


OpenFeed = Annotated[Feed, Depends(_feed)]
OpenPrefect = Annotated[PrefectClient, Depends(_prefect)]
