"""Steps as Prefect tasks, with their retries."""

from __future__ import annotations

from typing import Any

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext

from stager.errors import StagingError
from stager.runs.retry_schedule import RETRY_DELAYS_SECONDS, delay_after


def is_worth_retrying(_: Task[Any, Any], __: TaskRun, state: State[Any]) -> bool:
    """Tell whether to retry: if the error's class allows it, or the error is unforeseen."""
    error = state.result(raise_on_failure=False)
    return error.retryable if isinstance(error, StagingError) else True


def retry_delay() -> float | None:
    """Return how long Prefect waits before it retries the current task, in seconds, or some tenths more.

    None where this is the task's last try.
    """
    context = TaskRunContext.get()
    return None if context is None else delay_after(context.task_run.run_count)


# The arguments of every step's task decorator. Nothing is cached: a step's result is
# on the storage and in the records.
STEP: dict[str, Any] = {
    "cache_policy": NO_CACHE,
    "persist_result": False,
    "retries": len(RETRY_DELAYS_SECONDS),
    "retry_delay_seconds": RETRY_DELAYS_SECONDS,
    "retry_jitter_factor": 0.2,
    "retry_condition_fn": is_worth_retrying,
}
