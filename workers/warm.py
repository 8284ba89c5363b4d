"""The warm worker, whose flow runs begin at once: noticed by events, and executed by ready processes."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup, TaskStatus
from prefect import Flow
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings
from prefect.states import Cancelled, Crashed
from prefect.workers.base import BaseVariables, BaseWorker, BaseWorkerResult
from prefect.workers.process import ProcessJobConfiguration

from blocks.areas import keep_areas_known
from stager.settings import get_settings
from workers.installed import FLOWS, entrypoint_of, flows_of
from workers.prefect_internals import Executions
from workers.process_starter import WarmStarter
from workers.ready_processes import ReadyProcesses
from workers.recall import RecallingClient
from workers.run_register import RunRegister
from workers.wake import Alarm, ring_when_scheduled

PRELOADED = "workers.preloaded"
# The folder in Prefect's home with the register of each worker on the machine.
REGISTERS = "warm-workers"
# Seconds between two checks whether all runs have ended.
POLL_SECONDS = 0.1
# Seconds before a report to Prefect that failed is retried.
REPORT_AGAIN_SECONDS = 5.0
# The final state of a run whose worker was killed, by its last state.
ENDINGS_OF_LOST_RUNS = {StateType.PENDING: Crashed, StateType.RUNNING: Crashed, StateType.CANCELLING: Cancelled}


class WarmConfiguration(ProcessJobConfiguration):
    """The configuration of a run: the worker's own environment, and a folder that is removed with the run."""

    @classmethod
    async def from_template_and_values(
        cls,
        base_job_template: dict[str, Any],  # noqa: ARG003 - does not count
        values: dict[str, Any],  # noqa: ARG003 - nor do these
        client: PrefectClient | None = None,  # noqa: ARG003 - nothing is asked for
    ) -> Self:
        """Return the configuration, whatever a pool's template and job variables say."""
        return cls()


class WarmWorkerResult(BaseWorkerResult):
    """How a flow run's process ended."""


class WarmWorker(BaseWorker[WarmConfiguration, BaseVariables, WarmWorkerResult]):
    """Executes flow runs in processes that were ready before the run existed.

    A run's process is watched, cancelled and reported by the same code of
    Prefect's as in its process worker. What it executes is one of the flows
    that are installed here, whoever made the deployment: nothing in Prefect
    says more of it than which.

    Attributes
    ----------
    package
        What the flows are in.
    """

    type = "warm"
    package = FLOWS
    job_configuration = WarmConfiguration
    _display_name = "Warm"
    _description = "Execute flow runs in processes that are ready already: a run begins within a fraction of a second."

    @classmethod
    def get_default_base_job_template(cls) -> dict[str, Any]:
        """Return the template of a pool without job variables, so that Prefect refuses any."""
        return {
            "job_configuration": {"labels": {}},  # Prefect takes none that is empty
            "variables": {"type": "object", "properties": {}, "additionalProperties": False},
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - BaseWorker's
        super().__init__(*args, **kwargs)
        self._alarm = Alarm()
        self._one_at_a_time = anyio.Lock()
        self._listening = anyio.CancelScope()
        self._base = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start the ready processes, then the worker, then listen for runs."""
        async with AsyncExitStack() as base:
            self._register = base.enter_context(RunRegister(get_current_settings().home / REGISTERS))
            self._beside = await base.enter_async_context(_beside())
            self._ready_processes = ReadyProcesses(size=get_settings().ready_processes, preload=[PRELOADED])
            base.callback(self._ready_processes.close)
            self._beside.start_soon(self._ready_processes.keep_full)
            self._flows = await to_thread.run_sync(flows_of, self.package)
            self._executions = await base.enter_async_context(Executions(self._flow_of))
            await super().__aenter__()
            self._base = base.pop_all()
        self._beside.start_soon(keep_areas_known)
        self._beside.start_soon(self._listen)
        self._beside.start_soon(self._report_orphans)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Take up no more runs, wait for those under way for a while, then end them."""
        async with self._base:
            self._listening.cancel()
            with anyio.move_on_after(get_settings().drain):
                while self._register.has_runs():  # noqa: ASYNC110 - runs that are still being taken up count as well
                    await anyio.sleep(POLL_SECONDS)
            await super().__aexit__(*exc_info)

    async def setup(self) -> None:
        """Prepare the worker to run."""
        await super().setup()
        self._client = RecallingClient.of(self.client)

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """Take up waiting runs, after a poll or a wake-up, but never twice at the same time."""
        async with self._one_at_a_time:
            return await super().get_and_submit_flow_runs()

    async def run(
        self,
        flow_run: FlowRun,
        configuration: WarmConfiguration,
        task_status: TaskStatus[int] | None = None,
    ) -> WarmWorkerResult:
        """Execute a flow run and return how its process ended.

        Raises
        ------
        ForeignFlow
            It is none of the flows that are installed here; nothing was executed.
        RuntimeError
            No process took it up.
        """
        entrypoint = await entrypoint_of(flow_run, self._flows, self.client)
        try:
            with tempfile.TemporaryDirectory(suffix="prefect") as directory:
                starter = WarmStarter(
                    ready=self._ready_processes,
                    configuration=configuration,
                    directory=Path(directory),
                    entrypoint=entrypoint,
                    channel=self._executions.control_channel,
                )
                execution = await self._executions.execute(flow_run, starter, task_status)
        finally:
            self._alarm.ring()  # a place is free
        return WarmWorkerResult(status_code=execution.status_code or 0, identifier=str(execution.handle.pid))

    async def _flow_of(self, flow_run: FlowRun) -> Flow[..., Any]:
        return self._flows[await entrypoint_of(flow_run, self._flows, self.client)]

    async def _report_orphans(self) -> None:
        """Tell Prefect of the runs that an earlier worker of this machine had when it was killed."""
        while True:
            try:
                for flow_run_ids in self._register.orphans():
                    for flow_run_id in flow_run_ids:
                        await self._end_orphan(flow_run_id)
            except Exception as error:  # noqa: BLE001 - Prefect may be away as well
                self._logger.warning("Could not report the runs of a killed worker; will retry: %s", error)
                await anyio.sleep(REPORT_AGAIN_SECONDS)
            else:
                return

    async def _end_orphan(self, flow_run_id: UUID) -> None:
        with suppress(ObjectNotFound):
            state = (await self.client.read_flow_run(flow_run_id)).state
            # Who takes a run up is in the register before Prefect knows of it.
            if state and state.type in ENDINGS_OF_LOST_RUNS and not self._register.is_taken_up_again(flow_run_id):
                self._logger.warning("Flow run %s died with a worker that was killed", flow_run_id)
                await self.client.set_flow_run_state(
                    flow_run_id, ENDINGS_OF_LOST_RUNS[state.type](message="its worker was killed")
                )

    async def _listen(self) -> None:
        with self._listening:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(partial(ring_when_scheduled, self._alarm, work_pool=self._work_pool_name))
                while True:
                    await self._alarm.heard()
                    await self._submit_at_once()

    async def _submit_at_once(self) -> None:
        try:
            await self.get_and_submit_flow_runs()
        except Exception as error:  # noqa: BLE001 - the next poll tries it again
            self._logger.warning("Could not take up flow runs; will retry: %s", error)

    # BaseWorker's, done in another way to lose no run and to be quick. Renamed
    # there, they are never called; the tests of Prefect's internals say so.

    async def _propose_pending_state(self, flow_run: FlowRun) -> bool:
        """Register the run before it is taken up."""
        self._register.add(flow_run.id)
        return await super()._propose_pending_state(flow_run)

    def _release_limit_slot(self, flow_run_id: UUID) -> None:
        """Remove a run from the register that has ended, or was not taken up."""
        super()._release_limit_slot(flow_run_id)
        self._register.remove(flow_run_id)

    async def _propose_submitting_state(self, flow_run: FlowRun) -> None:
        """Skip the state between Pending and Running, which would last for milliseconds."""

    async def _give_worker_labels_to_flow_run(self, flow_run_id: UUID) -> None:
        """Label the run while it starts."""
        self._beside.start_soon(super()._give_worker_labels_to_flow_run, flow_run_id)


@asynccontextmanager
async def _beside() -> AsyncIterator[TaskGroup]:
    """Yield a task group whose tasks are cancelled at the end of the block."""
    async with anyio.create_task_group() as tasks:
        try:
            yield tasks
        finally:
            tasks.cancel_scope.cancel()
