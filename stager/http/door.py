"""What every handler shares: settings, records, Prefect, and threads to wait for the database in."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Annotated, Concatenate, ParamSpec, TypeVar

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
from stager.records import DIRECT_DOWNLOAD, Database, Draft, StagingRequestRow, create_requests
from stager.settings import AUTHENTICATION_IS_OFF, Settings

if TYPE_CHECKING:
    from stager.dispatch.cluster import Pods

# As many as a connection pool has for good; who waits for an outcome holds
# none of them in between.
THREADS = 5
# How long a handler lets a caller wait for a database that is away, in seconds.
PATIENCE = 3.0

P = ParamSpec("P")
T = TypeVar("T")

logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Door:
    """What handlers work with."""

    settings: Settings
    database: Database
    prefect: PrefectClient
    threads: ThreadPoolExecutor
    # None where authentication is off.
    authenticator: Authenticator | None = None
    # None where there is no Kubernetes.
    pods: Pods | None = None
    # Set when a request was recorded; the dispatcher waits for it.
    recorded: asyncio.Event = field(default_factory=asyncio.Event)
    # When each of the reconciler's looks last came to its end, by time.monotonic.
    looks: dict[str, float] = field(default_factory=dict)
    # When each user was last found, likewise.
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
        """Return what a function of the records returns; the event loop does not wait for it.

        The records have threads of their own: when they all wait for a slow
        database, files are still read and sent.
        """
        context = contextvars.copy_context()  # the request's id on its log lines
        call = partial(context.run, partial(function, self.database, *args, **kwargs))
        return await asyncio.get_running_loop().run_in_executor(self.threads, call)


@asynccontextmanager
async def open_door(settings: Settings) -> AsyncIterator[Door]:
    """Give a door, and close what it holds at the end."""
    database = Database(settings.database_url.get_secret_value(), patience=PATIENCE)
    threads = ThreadPoolExecutor(THREADS, thread_name_prefix="door")
    async with (
        PrefectClient(settings.prefect_api_url, settings.prefect_auth) as prefect,
        _authenticator(settings) as authenticator,
        _pods(settings) as pods,
    ):
        door = Door(settings, database, prefect, threads, authenticator, pods)
        if missing := [name for name in settings.allowed_methods if name not in door.methods]:
            logger.warning("ALLOWED_METHODS names what is no method here: it is not offered", methods=missing)
        yield door
    threads.shutdown(wait=False, cancel_futures=True)
    database.close()


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


@asynccontextmanager
async def _pods(settings: Settings) -> AsyncIterator[Pods | None]:
    if settings.pods_namespace is None:
        yield None
        return
    from stager.dispatch.cluster import open_pods  # noqa: PLC0415 - its client is installed only where there is a cluster

    async with open_pods(settings.pods_namespace) as pods:
        yield pods


async def _door_of(request: Request) -> Door:  # async, or FastAPI calls it in a thread
    door: Door = request.app.state.door
    return door


OpenDoor = Annotated[Door, Depends(_door_of)]
