"""The pods of flow runs, by the Kubernetes API."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime

import aiohttp
import structlog
from kubernetes_asyncio import config
from kubernetes_asyncio.client import ApiClient, ApiException, BatchV1Api, CoreV1Api, CoreV1Event, V1Job, V1Pod

from stager.dispatch.pod_trouble import PodTrouble, trouble_of
from stager.dispatch.pools import POD_POOL
from stager.errors import ClusterUnavailable

logger = structlog.get_logger(__name__)

# The labels that Prefect's worker puts on each Job and its pod. Jobs of other pools in the namespace are not ours.
FLOW_RUN = "prefect.io/flow-run-id"
OURS = f"prefect.io/work-pool-name={POD_POOL}"
# The label that Kubernetes puts on a Job's pod.
JOB = "batch.kubernetes.io/job-name"
NOT_FOUND = 404


class Pods:
    """Asks for the Jobs, pods and warnings of one namespace, and removes Jobs.

    Every method raises ``ClusterUnavailable`` when the cluster does not answer,
    or does not allow it.
    """

    def __init__(self, client: ApiClient, namespace: str) -> None:
        self._core, self._batch = CoreV1Api(client), BatchV1Api(client)
        self._namespace = namespace
        # The Jobs that were not understood at the last look, by name, and why.
        self._not_understood: dict[str, str] = {}

    async def troubles(self) -> dict[str, PodTrouble | None]:
        """Return the trouble of each flow run that has a Job, by the run's id; None where the run goes on.

        A Job that nobody can make sense of counts as one that goes on, and
        hides no other's trouble. The log says it once, and again when the
        reason is another.
        """
        ours = f"{FLOW_RUN},{OURS}"
        with _in_our_words():
            jobs = await self._batch.list_namespaced_job(self._namespace, label_selector=ours)
            pods = await self._core.list_namespaced_pod(self._namespace, label_selector=ours)
            events = await self._core.list_namespaced_event(self._namespace, field_selector="type=Warning")
        of_runs: dict[str, list[V1Job]] = defaultdict(list)
        for job in sorted(jobs.items, key=lambda job: job.metadata.creation_timestamp):
            of_runs[job.metadata.labels[FLOW_RUN]].append(job)
        before, self._not_understood = self._not_understood, {}
        found: dict[str, PodTrouble | None] = {}
        for run, some in of_runs.items():
            of_jobs = [self._trouble(job, pods.items, events.items, before) for job in some]
            # The newest Job's, unless another of the run's Jobs goes on.
            found[run] = None if None in of_jobs else of_jobs[-1]
        return found

    def _trouble(
        self, job: V1Job, pods: Sequence[V1Pod], events: Sequence[CoreV1Event], not_understood: Mapping[str, str]
    ) -> PodTrouble | None:
        name = job.metadata.name
        try:
            return _trouble_of_job(job, pods, events)
        except Exception as error:  # whatever the cluster says of one
            self._not_understood[name] = reason = f"{type(error).__name__}: {error}"
            if not_understood.get(name) != reason:
                logger.exception(
                    "Could not understand what Kubernetes says of a run's Job; it counts as one that goes on",
                    flow_run=job.metadata.labels[FLOW_RUN],
                    job=name,
                )
            return None

    async def remove(self, flow_run_id: str) -> None:
        """Remove the Jobs of a flow run, and their pods with them."""
        ours = f"{FLOW_RUN}={flow_run_id},{OURS}"
        with _in_our_words():
            jobs = await self._batch.list_namespaced_job(self._namespace, label_selector=ours)
            for job in jobs.items:
                await self._remove(job.metadata.name)

    async def _remove(self, name: str) -> None:
        with _missing_is_fine():
            await self._batch.delete_namespaced_job(name, self._namespace, propagation_policy="Background")


@asynccontextmanager
async def open_pods(namespace: str) -> AsyncIterator[Pods]:
    """Open a client for a namespace's pods, by the service account or, outside a cluster, by the kubeconfig."""
    try:
        config.load_incluster_config()  # type: ignore[no-untyped-call] # it takes nothing
    except config.ConfigException:
        await config.load_kube_config()
    async with ApiClient() as client:
        yield Pods(client, namespace)


def _trouble_of_job(job: V1Job, pods: Sequence[V1Pod], events: Sequence[CoreV1Event]) -> PodTrouble | None:
    name = job.metadata.name
    own = [pod for pod in pods if pod.metadata.labels.get(JOB) == name]
    about = [one for one in events if f"{one.involved_object.name}-".startswith(f"{name}-")]
    return trouble_of(job, own[-1] if own else None, sorted(about, key=_time))


def _time(event: CoreV1Event) -> datetime:
    return event.last_timestamp or event.event_time or event.first_timestamp or datetime.min.replace(tzinfo=UTC)


@contextmanager
def _missing_is_fine() -> Iterator[None]:
    """Ignore that something has already been removed."""
    try:
        yield
    except ApiException as error:
        if error.status != NOT_FOUND:
            raise


@contextmanager
def _in_our_words() -> Iterator[None]:
    try:
        yield
    except (ApiException, aiohttp.ClientError, OSError) as error:
        reason = error.reason if isinstance(error, ApiException) else str(error)
        raise ClusterUnavailable(reason or type(error).__name__) from error
