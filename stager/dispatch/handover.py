"""The handover of recorded requests to Prefect, one run group at a time, each once."""

from __future__ import annotations

import structlog

from stager.dispatch.pools import pod_of
from stager.dispatch.prefect import PrefectClient
from stager.errors import ServiceUnavailable, StagingError
from stager.records.database import AsyncDatabase
from stager.records.requests import fail_request
from stager.records.runs import RunGroup, note_flow_run
from stager.settings import Settings

logger = structlog.get_logger(__name__)


async def submit(group: RunGroup, *, settings: Settings, records: AsyncDatabase, prefect: PrefectClient) -> None:
    """Create the flow run of some requests and record its id; close the requests if it can never run.

    Safe to repeat, also by another process at the same time and when the
    answer to an earlier try was lost: the key of the claim is the run's
    idempotency key.

    Raises
    ------
    PrefectUnavailable
        Nothing was noted; the reconciler asks again.
    DatabaseUnavailable
        The run may have been asked for; the reconciler asks again.
    """
    try:
        run = await prefect.create_flow_run(group, pod=await pod_of(group, settings))
    except ServiceUnavailable:
        raise
    except StagingError as error:  # refused for good, or for an account that the pod cannot have
        logger.exception(
            "Prefect refused the run; its requests have failed",
            staging_requests=group.request_ids,
            method=group.method,
        )
        for request_id in group.request_ids:
            await records.ask(fail_request, request_id, error)
        return
    await records.ask(note_flow_run, group.request_ids, run, run_key=group.key)
    facts = {"method": group.method, "pool": group.pool.value, "flow_run": run}
    logger.info("Requests handed to Prefect", staging_requests=group.request_ids, **facts)
