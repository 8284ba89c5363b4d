"""The reason of a run's termination: whether somebody cancelled it."""

from __future__ import annotations

from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectException
from prefect.runtime import flow_run


def is_being_cancelled() -> bool:
    """Return whether the current run is being cancelled, according to Prefect.

    A worker that stops and a pod that is moved send the same SIGTERM.
    """
    flow_run_id = flow_run.get_id()
    if flow_run_id is None:
        return False
    try:
        state = get_client(sync_client=True).read_flow_run(UUID(flow_run_id)).state
    except (httpx.HTTPError, PrefectException):
        return False
    return state is not None and (state.is_cancelling() or state.is_cancelled())
