"""Running the dispatcher and the reconciler, with the clients that they need."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from stager.background import background_task
from stager.dispatch.dispatcher import Dispatcher
from stager.dispatch.prefect import PrefectClient
from stager.dispatch.reconciler import Reconciler
from stager.records.database import AsyncDatabase
from stager.settings import Settings

if TYPE_CHECKING:
    from stager.dispatch.cluster import Pods


@asynccontextmanager
async def dispatching(
    settings: Settings, *, records: AsyncDatabase, prefect: PrefectClient, recorded: asyncio.Event, look_every: float
) -> AsyncIterator[Reconciler]:
    """Hand requests to Prefect and look after their runs while the body runs; yield the reconciler.

    Parameters
    ----------
    recorded, look_every
        As the dispatcher takes them.
    """
    async with _open_pods(settings) as pods:
        dispatcher = Dispatcher(settings, records=records, prefect=prefect, recorded=recorded, look_every=look_every)
        reconciler = Reconciler(settings, records=records, prefect=prefect, pods=pods, recorded=recorded)
        async with (
            background_task(dispatcher.run(), name="dispatcher"),
            background_task(reconciler.run(), name="reconciler"),
        ):
            yield reconciler


@asynccontextmanager
async def _open_pods(settings: Settings) -> AsyncIterator[Pods | None]:
    """Yield the client for pods, None where there is no Kubernetes."""
    if settings.pods_namespace is None:
        yield None
        return
    from stager.dispatch.cluster import open_pods  # noqa: PLC0415 - its client is installed only where there is a cluster

    async with open_pods(settings.pods_namespace) as pods:
        yield pods
