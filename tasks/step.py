"""How a step becomes a Prefect task: its retries and their reasons."""

from __future__ import annotations

from typing import Any

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext

from stager.errors import StagingError

# Seconds before the second, third and fourth try: long enough for a storage
# server to fail over.
RETRY_DELAYS = [2.0, 10.0, 30.0]


def is_worth_retrying(_: Task[Any, Any], __: TaskRun, state: State[Any]) -> bool:
    """Retry what the error's class allows, and whatever we did not foresee."""
    error = state.result(raise_on_failure=False)
    return error.retryable if isinstance(error, StagingError) else True


def is_last_try() -> bool:
    """Return whether Prefect will not run the current task again."""
    context = TaskRunContext.get()
    return context is None or context.task_run.run_count > len(RETRY_DELAYS)


def retry_delay() -> float | None:
    """Return how long Prefect waits before it runs the current task again, in seconds; some tenths may be added."""
    context = TaskRunContext.get()
    tries = 0 if context is None else context.task_run.run_count
    return RETRY_DELAYS[tries - 1] if 0 < tries <= len(RETRY_DELAYS) else None


# What every step's decorator is given. Nothing is cached: a step's result is
# on the storage and in the records.
STEP: dict[str, Any] = {
    "cache_policy": NO_CACHE,
    "persist_result": False,
    "retries": len(RETRY_DELAYS),
    "retry_delay_seconds": RETRY_DELAYS,
    "retry_jitter_factor": 0.2,
    "retry_condition_fn": is_worth_retrying,
}
