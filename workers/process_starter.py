"""The starter of flow runs: a ready process takes each of them over."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import TaskStatus
from prefect.client.schemas.objects import FlowRun
from prefect.workers.process import ProcessJobConfiguration

from blocks.areas import areas_as_known
from workers.child import RunOrder
from workers.prefect_internals import ControlChannel, ProcessHandle, pending, run_variables
from workers.ready_processes import ReadyProcesses


@dataclass(frozen=True, kw_only=True)
class WarmStarter:
    """Starts flow runs in ready processes, by the protocol ``ProcessStarter`` of Prefect's runner."""

    ready: ReadyProcesses
    configuration: ProcessJobConfiguration
    directory: Path
    entrypoint: str
    channel: ControlChannel

    async def start(
        self, flow_run: FlowRun, task_status: TaskStatus[ProcessHandle] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Hand a flow run to a ready process, report its process id, and wait until it has ended."""
        child = await self.ready.take()
        try:
            child.give(self._order(flow_run))
        except OSError:
            self.channel.unregister(flow_run.id)
            raise
        task_status.started(ProcessHandle(child))  # type: ignore[arg-type] # it asks for pid and returncode
        await child.wait()

    def _order(self, flow_run: FlowRun) -> RunOrder:
        variables = {name: value for name, value in self.configuration.env.items() if value is not None}
        return RunOrder(
            flow_run=pending(flow_run),
            areas=areas_as_known(),
            environment={**variables, **run_variables(self.channel, flow_run.id, entrypoint=self.entrypoint)},
            working_directory=str(self.directory),
        )
