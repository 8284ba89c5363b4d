"""Everything that the warm worker uses of Prefect's private parts, which no other module uses.

``tests/workers/test_prefect_internals.py`` says what has moved when a new
Prefect breaks it.
"""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self
from uuid import UUID

import anyio
import prefect._internal.observers
import prefect._internal.plugins.collections
import prefect.artifacts
import prefect.events.filters
import prefect.events.schemas.events
import prefect.flow_engine
from anyio.abc import TaskStatus
from prefect import Flow
from prefect._flow_run_suspension import FlowRunSuspensionRequest, observe_flow_run_suspension
from prefect._internal.control_listener import configure_from_env
from prefect._internal.metrics import RunMetrics
from prefect.client.schemas import actions, objects, responses
from prefect.client.schemas.objects import FlowRun
from prefect.context import SyncClientContext
from prefect.engine import _drive_run_flow_result, handle_engine_signals
from prefect.flow_engine import load_flow, run_flow
from prefect.logging.loggers import flow_run_logger
from prefect.runner._control_channel import ControlChannel
from prefect.runner._flow_run_executor import FlowRunExecutionResult, FlowRunExecutorContext, ProcessStarter
from prefect.runner._process_manager import ProcessHandle
from prefect.states import Pending
from pydantic import BaseModel

__all__ = ["ControlChannel", "ProcessHandle", "ProcessStarter"]

# The modules with the models that a run sends and receives.
MODELS = (prefect.artifacts, actions, objects, responses, prefect.events.filters, prefect.events.schemas.events)
# The variable that names a run's flow to its process, which then reads no deployment and does no pull steps.
ENTRYPOINT = "PREFECT__FLOW_ENTRYPOINT"
# How long a run lasts before it listens for its suspension, in seconds.
UNWATCHED_SECONDS = 1.0


# --- in the worker -----------------------------------------------------------


class Executions(FlowRunExecutorContext):
    """The execution of a worker's flow runs: Prefect's own code watches, cancels and reports all of them.

    Parameters
    ----------
    flow_of
        Returns the flow of a run, whose hooks are run when it is cancelled or
        has crashed. Prefect's own way there executes what the deployment says.
    """

    def __init__(self, flow_of: Callable[[FlowRun], Awaitable[Flow[..., Any]]]) -> None:
        self._flow_of = flow_of

    async def __aenter__(self) -> Self:
        """Connect to Prefect, and listen for cancellations."""
        await super().__aenter__()
        return self

    async def execute(
        self, flow_run: FlowRun, starter: ProcessStarter, task_status: TaskStatus[int] | None
    ) -> FlowRunExecutionResult:
        """Start a run's process, report its process id, and return how it ended.

        Raises
        ------
        RuntimeError
            It could not be started.
        """
        executor = self.create_executor(flow_run, starter, resolve_flow=self._flow_of, propose_submitting=False)
        result: FlowRunExecutionResult | None = None

        async def submit(*, task_status: TaskStatus[ProcessHandle]) -> None:
            nonlocal result
            result = await executor.submit(task_status=task_status)

        async with anyio.create_task_group() as tasks:
            handle = await tasks.start(submit)
            if task_status is not None and handle.pid is not None:
                task_status.started(handle.pid)
        if result is None or result.status_code is None:
            message = "no process took up the flow run"
            raise RuntimeError(message)
        return result


def pending(flow_run: FlowRun) -> str:
    """Return a run that is taken up as JSON, so that a process can execute it without reading it from Prefect."""
    return flow_run.model_copy(update={"state": Pending()}).model_dump_json()


def run_variables(channel: ControlChannel, flow_run_id: UUID, *, entrypoint: str) -> dict[str, str]:
    """Return the environment variables that tell a process its run and its flow."""
    port, token = channel.register(flow_run_id)
    return {
        "PREFECT__FLOW_RUN_ID": str(flow_run_id),
        ENTRYPOINT: entrypoint,
        "PREFECT__ENABLE_CANCELLATION_AND_CRASHED_HOOKS": "false",  # the worker runs them
        "PREFECT__CONTROL_PORT": str(port),
        "PREFECT__CONTROL_TOKEN": token,
    }


# --- in a child, and in what it is forked from -------------------------------


def load_no_other_collection() -> None:
    """Keep Prefect from importing the packages of other worker types, each of which costs tens of MiB."""
    vars(prefect._internal.plugins.collections)["_collections"] = {"workers": sys.modules["workers"]}  # noqa: SLF001


def complete_models() -> None:
    """Complete Prefect's models, which otherwise happens at their first use and takes each child 35 ms."""
    for module in MODELS:
        for model in vars(module).values():
            if isinstance(model, type) and issubclass(model, BaseModel) and model is not BaseModel:
                model.model_rebuild(raise_errors=False)  # which leaves one that is complete alone


class Readiness:
    """What a child has set up before it knows its flow run.

    Made before the fork: a client that has read the certificates of a whole
    world but not yet a connection.
    """

    def __init__(self) -> None:
        self._client = SyncClientContext()

    def connect(self) -> None:
        """Connect to Prefect's API, until the process ends."""
        self._client.__enter__()


def execute(flow_run_as_json: str) -> None:
    """Execute a flow run in this process, which ends with it: as ``python -m prefect.engine`` does.

    Parameters
    ----------
    flow_run_as_json
        From `pending`.

    Raises
    ------
    SystemExit
        The run is over; 0 where its ending is with Prefect already.
    """
    configure_from_env()
    vars(prefect.flow_engine)["observe_flow_run_suspension"] = _observe_later
    flow_run = FlowRun.model_validate_json(flow_run_as_json)
    with handle_engine_signals(flow_run.id):
        logger = flow_run_logger(flow_run)
        try:
            flow: Flow[..., Any] = load_flow(flow_run)
        except Exception:
            logger.exception("The flow cannot be loaded")
            raise
        with RunMetrics(flow_run, flow):
            # The state: as a result, a failed one would be raised, and the log's end be a page of Prefect's own calls.
            # The adapter, as Prefect passes it itself: the logger in it knows no names, which its format asks for.
            result = run_flow(flow, flow_run=flow_run, return_type="state", error_logger=logger)  # type: ignore[arg-type]
            _drive_run_flow_result(flow, result)


@contextmanager
def _observe_later(flow_run_id: UUID, request: FlowRunSuspensionRequest) -> Iterator[None]:
    """Watch for a suspension once a run has lasted a while: to set that up takes longer than a small staging.

    The watch begins by reading the run's state, so a suspension from before it is noticed too.
    """
    is_over = threading.Event()

    def observe() -> None:
        if not is_over.wait(UNWATCHED_SECONDS):
            with observe_flow_run_suspension(flow_run_id, request):
                is_over.wait()

    thread = threading.Thread(target=contextvars.copy_context().run, args=(observe,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
