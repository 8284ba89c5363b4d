"""Whether a run that is terminated was cancelled by somebody."""

from __future__ import annotations

from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectException
from prefect.runtime import flow_run


def is_being_cancelled() -> bool:
    """Return whether Prefect says of the current run that it is to be cancelled.

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
