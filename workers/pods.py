"""``python -m workers.pods``: Prefect's Kubernetes worker, kept to the flows that are installed here.

``python -m workers.pods worker start --pool staging-kubernetes --type kubernetes``
does the same as ``prefect worker start`` with these options, but for runs of
any other deployment: these get no pod.
"""

from __future__ import annotations

import warnings
from typing import Any

from anyio import to_thread
from anyio.abc import TaskStatus
from prefect.client.schemas.objects import FlowRun
from prefect_kubernetes.worker import KubernetesWorker, KubernetesWorkerJobConfiguration, KubernetesWorkerResult

from workers.installed import FLOWS, entrypoint_of, flows_of
from workers.prefect_internals import ENTRYPOINT, load_no_other_collection

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Prefect says that its own worker of this type gives way

    class PodWorker(KubernetesWorker):  # type: ignore[misc] # it has no type hints
        """Makes a pod for each run of an installed flow, and tells the pod which flow that is.

        So the pod asks no deployment what to execute.

        Attributes
        ----------
        package
            What the flows are in.
        """

        type = "kubernetes"
        package = FLOWS

        async def setup(self) -> None:
            """Prepare the worker to run."""
            self._flows = await to_thread.run_sync(flows_of, self.package)
            await super().setup()

        async def run(
            self,
            flow_run: FlowRun,
            configuration: KubernetesWorkerJobConfiguration,
            task_status: TaskStatus[int] | None = None,
        ) -> KubernetesWorkerResult:
            """Make a Job for a flow run.

            Raises
            ------
            ForeignFlow
                It is none of the flows that are installed here; nothing was made.
            """
            _tell_flow(configuration.job_manifest, await entrypoint_of(flow_run, self._flows, self.client))
            return await super().run(flow_run, configuration, task_status)


def _tell_flow(job: dict[str, Any], entrypoint: str) -> None:
    """Set the variable that names the flow in a Job's container, over any other value."""
    for container in job["spec"]["template"]["spec"]["containers"]:
        others = [one for one in container["env"] if one["name"] != ENTRYPOINT]
        container["env"] = [*others, {"name": ENTRYPOINT, "value": entrypoint}]


def main() -> None:
    """Run Prefect's command line with this worker type and no other."""
    load_no_other_collection()
    from prefect.cli import app  # noqa: PLC0415 - it looks at the worker types that there are by now

    app()


if __name__ == "__main__":
    main()
