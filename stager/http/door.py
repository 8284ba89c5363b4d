"""What every handler shares: settings, records, Prefect, and threads to wait for the database in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Concatenate, ParamSpec, TypeVar

import httpx
import structlog
from fastapi import Depends
from starlette.requests import Request

from stager.background import beside
from stager.callers.access_file import AccessFile
from stager.callers.authenticator import Authenticator
from stager.callers.issuer_answers import ISSUER_LIMIT
from stager.dispatch.prefect import PrefectClient
from stager.http.group_commit import Together
from stager.http.long_calls import LongCalls
from stager.methods import METHODS
from stager.records import (
    DIRECT_DOWNLOAD,
    AsyncDatabase,
    Database,
    Draft,
    StagingRequestRow,
    create_requests,
    open_records,
)
from stager.settings import AUTHENTICATION_IS_OFF, Settings

P = ParamSpec("P")
T = TypeVar("T")

logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Door:
    """What handlers work with."""

    settings: Settings
    records: AsyncDatabase
    prefect: PrefectClient
    # None where authentication is off.
    authenticator: Authenticator | None = None
    # Set when a request was recorded; the dispatcher waits for it.
    recorded: asyncio.Event = field(default_factory=asyncio.Event)
    # When each user was last found, by time.monotonic.
    users: dict[str, float] = field(default_factory=dict)

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """The staging methods that may be asked for: those that the operator allows and that are there."""
        return tuple(name for name in self.settings.allowed_methods if name in METHODS or name == DIRECT_DOWNLOAD)

    @cached_property
    def submissions(self) -> Together[Draft, StagingRequestRow]:
        """Writes small requests down, those that come at the same moment in one transaction."""
        most_open = self.settings.max_open_requests
        return Together(lambda drafts: self.ask(create_requests, drafts, most_open=most_open))

    @cached_property
    def long_calls(self) -> LongCalls:
        """Counts each user's streams, uploads and waiting calls."""
        return LongCalls(self.settings.max_long_calls)

    async def ask(self, function: Callable[Concatenate[Database, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a function of the records returns; the event loop does not wait for it."""
        return await self.records.ask(function, *args, **kwargs)


@asynccontextmanager
async def open_door(settings: Settings) -> AsyncIterator[Door]:
    """Give a door, and close what it holds at the end."""
    async with (
        open_records(settings.database_url.get_secret_value()) as records,
        PrefectClient(settings.prefect_api_url, settings.prefect_auth) as prefect,
        _authenticator(settings) as authenticator,
    ):
        door = Door(settings, records, prefect, authenticator)
        if missing := [name for name in settings.allowed_methods if name not in door.methods]:
            logger.warning("ALLOWED_METHODS names what is no method here: it is not offered", methods=missing)
        yield door


@asynccontextmanager
async def _authenticator(settings: Settings) -> AsyncIterator[Authenticator | None]:
    """Give what checks tokens, or nothing where the operator asks for none."""
    if settings.access_file is None:
        logger.warning(AUTHENTICATION_IS_OFF)
        yield None
        return
    async with httpx.AsyncClient(timeout=ISSUER_LIMIT) as http:
        authenticator = Authenticator(AccessFile(settings.access_file), http)
        try:
            async with beside(authenticator.follow_file(), name="access file"):
                yield authenticator
        finally:
            authenticator.close()


async def _door_of(request: Request) -> Door:  # async, or FastAPI calls it in a thread
    door: Door = request.app.state.door
    return door


OpenDoor = Annotated[Door, Depends(_door_of)]
