"""Watches over flow runs in pods: says on record what they wait for, and ends those that will never begin."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import structlog

from stager.dispatch.pod_trouble import Outlook, Plight
from stager.dispatch.pools import POD_POOL
from stager.dispatch.prefect import CANCELLED, CRASHED, FlowRun, PrefectClient
from stager.errors import PodImpossible, RunLost, StagingError
from stager.records.database import AsyncDatabase
from stager.records.requests import cancel_run
from stager.records.runs import note_trouble
from stager.settings import Settings

if TYPE_CHECKING:
    from stager.dispatch.cluster import Pods

logger = structlog.get_logger(__name__)

# How long a worker has for making a pod, in seconds.
MAKING = 60.0
# How long Prefect has for noticing itself that a pod has died, in seconds.
NOTICING = 15.0
# How long a crashed run's pod has for ending, in seconds: only then does it say why, and another may begin.
ENDING = 10.0
# What nobody has ended yet, though its pod may have.
GOING = frozenset({"PENDING", "RUNNING"})
# What a pod has that has not begun, whether it will or not.
WAITING = frozenset({Outlook.TIME, Outlook.NOTHING})


class Sight(NamedTuple):
    """What a look at runs in pods has found, by the runs' ids: what has befallen them, and whose pods still end."""

    plights: Mapping[str, Plight]
    ending: Collection[str]


class PodWatch:
    """Looks at the pods of the runs whose requests are open.

    Parameters
    ----------
    pods
        The cluster's; None where there is no Kubernetes.
    """

    def __init__(
        self, settings: Settings, *, records: AsyncDatabase, prefect: PrefectClient, pods: Pods | None
    ) -> None:
        self._settings, self._records, self._prefect, self._pods = settings, records, prefect, pods

    async def look(self, runs: Iterable[FlowRun]) -> Sight:
        """Return what has befallen runs in pods; say so on record, and end what will not go on.

        Raises
        ------
        ClusterUnavailable
            The cluster does not answer.
        """
        mine = [run for run in runs if run.work_pool == POD_POOL]
        for run in mine:
            if run.state == "CANCELLING":
                await self._cancel(run)
        if self._pods is None:
            return Sight({}, ())
        known = await self._pods.plights()
        await self._look_at_others({run.id for run in mine}, known)
        found = {run.id: plight for run in mine if (plight := _plight(run, known))}
        ending = [run.id for run in mine if run.id in known.keys() - found.keys() and _age(run.since) < ENDING]
        for run in mine:
            if run.state in GOING and run.id in found:
                await self._tell(run, found[run.id])
        return Sight(found, ending)

    async def clear(self, run: FlowRun, plight: Plight | None) -> None:
        """Say in Prefect too what ended a crashed run, and leave nothing of it in the cluster."""
        if plight is not None:
            await self._prefect.end_flow_run(run.id, state=CRASHED, message=plight.words)
        if self._pods is not None and run.work_pool == POD_POOL:
            await self._pods.remove(run.id)

    async def _cancel(self, run: FlowRun) -> None:
        """Have a run end that is cancelled in Prefect, of which nobody in its pod hears.

        Where it has not begun, nobody ends the pod either: Prefect's worker
        heeds a run only until its Job is made (prefect 3.8.8, ``_submit_run``).
        """
        if not run.has_begun:
            await self._end(run, state=CANCELLED, message="it was cancelled before it began")
        await self._records.ask(cancel_run, run.id)

    async def _look_at_others(self, mine: Collection[str], known: Mapping[str, Plight | None]) -> None:
        """End waiting pods that no open request is behind: cancelled ones, and those of a form that was filled in."""
        waiting = {id_: one for id_, one in known.items() if one and one.outlook in WAITING and id_ not in mine}
        for run in (await self._prefect.read_flow_runs(waiting)).values():
            plight = waiting[run.id]
            if run.work_pool != POD_POOL:
                continue
            if run.state == "CANCELLING":
                await self._end(run, state=CANCELLED, message="it was cancelled")
            elif _age(plight.since) > NOTICING and (run.is_over or self._is_over(run, plight)):
                await self._end(run, state=CRASHED, message=plight.words)

    async def _end(self, run: FlowRun, *, state: str, message: str) -> None:
        """Remove a run's Jobs, and say in Prefect that it is over; one that is keeps its ending."""
        if self._pods is not None:
            await self._pods.remove(run.id)
        await self._prefect.end_flow_run(run.id, state=state, message=message)

    async def _tell(self, run: FlowRun, plight: Plight) -> None:
        await self._records.ask(note_trouble, run.id, cause=plight.cause, detail=plight.words)
        if self._is_over(run, plight):
            logger.warning("Run will not go on", flow_run=run.id, cause=plight.cause, reason=plight.words)
            await self._prefect.end_flow_run(run.id, state=CRASHED, message=plight.words)

    def _is_over(self, run: FlowRun, plight: Plight) -> bool:
        """Return whether there is nothing to wait for any more."""
        age = _age(plight.since)
        match plight.outlook:
            case Outlook.NOTHING:
                return True
            case Outlook.TIME:
                return age > self._settings.pods_start
            case Outlook.ANOTHER_POD:  # unless the run was begun anew since, and its pod is still to come
                return run.since <= plight.since and age > NOTICING


def error_of(plight: Plight) -> StagingError:
    """Return the error of a run that ended in that plight."""
    return RunLost(plight.words) if plight.outlook is Outlook.ANOTHER_POD else PodImpossible(plight.words)


def _plight(run: FlowRun, known: Mapping[str, Plight | None]) -> Plight | None:
    if run.id in known or run.state != "PENDING" or _age(run.since) < MAKING:
        return known.get(run.id)
    words = "the worker that took it up made no pod for it"
    return Plight(outlook=Outlook.ANOTHER_POD, cause="NoJob", words=words, since=run.since)


def _age(moment: datetime) -> float:
    """Return how long ago something was, in seconds."""
    return (datetime.now(UTC) - moment).total_seconds()
