"""The dispatcher hands requests to Prefect as soon as they are recorded, and lets users take turns.

Each user has at most one run that has not begun: what they ask for meanwhile
goes into the next. So runs queue up in Prefect by user, not by request, and
however many requests one user has, another's waits behind one run of theirs.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress

import structlog

from stager.dispatch.handover import submit
from stager.dispatch.pools import pool_rule
from stager.dispatch.prefect import PrefectClient
from stager.errors import DeploymentMissing, ServiceUnavailable
from stager.methods.all_methods import METHODS
from stager.records.database import AsyncDatabase
from stager.records.runs import claim_run_group, fair_shares
from stager.settings import Settings

logger = structlog.get_logger(__name__)

# Requests in one run at most.
MAX_REQUESTS = 100
# How long a user's requests wait for their last run to begin, in seconds.
RUN_BEGINS_SECONDS = 10.0
# Seconds between two polls while a user's run has not begun, and while a user has as many runs as they may.
SOON_SECONDS, LATER_SECONDS = 0.1, 1.0
# How long a wake-up waits, in seconds, so that requests recorded at one moment are handed over at once.
GATHER_SECONDS = 0.01


class Dispatcher:
    """Hands recorded requests to Prefect: at once when one is recorded, and by polling the records.

    Parameters
    ----------
    recorded
        Set when a request was recorded.
    look_every
        The longest time between two polls while no request is recorded, in seconds.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        records: AsyncDatabase,
        prefect: PrefectClient,
        recorded: asyncio.Event,
        look_every: float,
    ) -> None:
        self._settings, self._records, self._prefect, self._recorded = settings, records, prefect, recorded
        self._look_every = look_every
        self._pool_of = pool_rule(settings)

    async def run(self) -> None:
        """Hand requests over until cancelled. An error ends one round; the next one is tried after a pause."""
        pause = 0.0
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._recorded.wait(), pause)
            self._recorded.clear()
            pause = self._settings.reconcile_interval
            await asyncio.sleep(GATHER_SECONDS)
            try:
                pause = min(self._look_every, await self.look())
            except ServiceUnavailable as error:
                logger.warning("Could not hand requests over; will retry", reason=error.message)
            except Exception:
                logger.exception("An unforeseen error interrupted the handing over of requests; will retry")

    async def look(self) -> float:
        """Hand over the requests of every user whose turn it is; return in how many seconds to look again at most."""
        most_runs = self._settings.max_runs
        most_shards = self._settings.max_shards
        waiting = await self._records.ask(
            fair_shares,
            methods=sorted(METHODS),
            patience=RUN_BEGINS_SECONDS,
            most_runs=most_runs,
            most_shards=most_shards,
        )
        served: set[str] = set()
        left = []
        for share in waiting:
            if not share.is_next or share.username in served:
                left.append(share)
                continue
            served.add(share.username)
            if group := await self._records.ask(
                claim_run_group, share, limit=MAX_REQUESTS, pool_of=self._pool_of, most_shards=most_shards
            ):
                with suppress(DeploymentMissing):  # another method's requests need not wait for it
                    await submit(group, settings=self._settings, records=self._records, prefect=self._prefect)
        return min((LATER_SECONDS if share.has_most_runs else SOON_SECONDS for share in left), default=math.inf)
