"""Hand requests to Prefect and look after their runs without an HTTP service: ``python -m stager.dispatch``.

The HTTP services are told that they need not (``STAGER_DISPATCH=false``). Several
of these may run at once, and so may one beside a service that does it too.
"""

from __future__ import annotations

import asyncio
import signal

import structlog

from stager.dispatch.prefect import PrefectClient
from stager.dispatch.running import dispatching
from stager.logging import set_up_logging
from stager.records.database import open_records
from stager.settings import Settings, get_settings

# How often the records are polled for new requests, in seconds: no service tells this process of them.
POLL_SECONDS = 0.25

logger = structlog.get_logger("stager.dispatch")  # a program's own name is __main__


def main() -> None:
    """Hand requests over until the process is told to stop."""
    settings = get_settings()
    set_up_logging(settings)
    asyncio.run(_work(settings))


async def _work(settings: Settings) -> None:
    told_to_stop = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, told_to_stop.set)
    async with (
        open_records(settings.database_url.get_secret_value()) as records,
        PrefectClient(settings) as prefect,
        dispatching(settings, records=records, prefect=prefect, recorded=asyncio.Event(), look_every=POLL_SECONDS),
    ):
        logger.info("Requests are handed to Prefect by this process")
        await told_to_stop.wait()
    logger.info("Requests are no longer handed to Prefect by this process")


if __name__ == "__main__":
    main()
