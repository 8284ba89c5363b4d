"""A recorded request is handed to Prefect, once."""

from __future__ import annotations

import structlog

from stager.errors import RunRefused
from stager.records import StagingRequestRow, fail_request, note_flow_run
from stager.service.door import Door

logger = structlog.get_logger(__name__)


async def submit(door: Door, row: StagingRequestRow) -> None:
    """Ask for the flow run of a request and note it; close the request if it can never run.

    Safe to repeat, also by another process at the same time and when the
    answer to an earlier try was lost: the request's id is the run's
    idempotency key.

    Raises
    ------
    PrefectUnavailable
        Nothing was noted; the reconciler asks again.
    DatabaseUnavailable
        The run may have been asked for; the reconciler asks again.
    """
    try:
        run = await door.prefect.create_flow_run(method=row.method, username=row.username, request_id=row.id)
    except RunRefused as error:
        logger.exception("Request cannot be run", staging_request=row.id, method=row.method)
        await door.ask(fail_request, row.id, error)
        return
    await door.ask(note_flow_run, row.id, run)
    logger.info("Request handed to Prefect", staging_request=row.id, method=row.method, flow_run=run)
