"""The watch over flow runs in pods: it records what they wait for, and ends those that can never begin."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import structlog

from stager.dispatch.pod_trouble import PodTrouble, Remedy
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

# How long a worker may take to create a pod, in seconds.
POD_MADE_SECONDS = 60.0
# How long Prefect may take to notice by itself that a pod has died, in seconds.
DEATH_NOTICED_SECONDS = 15.0
# How long a crashed run's pod may take to end, in seconds: only then is the cause known, and may another begin.
POD_ENDS_SECONDS = 10.0
# States of runs that Prefect takes to go on, though their pods may have ended.
GOING = frozenset({"PENDING", "RUNNING"})
# Remedies of pods that have not begun, whether they will or not.
WAITING = frozenset({Remedy.TIME, Remedy.NOTHING})


class PodsSeen(NamedTuple):
    """The result of one look at the pods: the trouble of each run by its id, and the runs whose pods still end."""

    troubles: Mapping[str, PodTrouble]
    ending: Collection[str]


class PodWatch:
    """Polls the pods of the runs whose requests are open.

    Parameters
    ----------
    pods
        The cluster's; None where there is no Kubernetes.
    """

    def __init__(
        self, settings: Settings, *, records: AsyncDatabase, prefect: PrefectClient, pods: Pods | None
    ) -> None:
        self._settings, self._records, self._prefect, self._pods = settings, records, prefect, pods

    async def look(self, runs: Iterable[FlowRun]) -> PodsSeen:
        """Return the trouble of runs in pods; record it, and end the runs that cannot go on.

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
            return PodsSeen({}, ())
        known = await self._pods.troubles()
        await self._look_at_others({run.id for run in mine}, known)
        found = {run.id: trouble for run in mine if (trouble := _trouble(run, known))}
        ending = [
            run.id for run in mine if run.id in known.keys() - found.keys() and _age(run.since) < POD_ENDS_SECONDS
        ]
        for run in mine:
            if run.state in GOING and run.id in found:
                await self._tell(run, found[run.id])
        return PodsSeen(found, ending)

    async def clear(self, run: FlowRun, trouble: PodTrouble | None) -> None:
        """Tell Prefect what ended a crashed run, and remove all of it from the cluster."""
        if trouble is not None:
            await self._prefect.end_flow_run(run.id, state=CRASHED, message=trouble.words)
        if self._pods is not None and run.work_pool == POD_POOL:
            await self._pods.remove(run.id)

    async def _cancel(self, run: FlowRun) -> None:
        """End a run that was cancelled in Prefect before its pod could hear of it.

        Where it has not begun, nobody ends the pod either: Prefect's worker
        heeds a run only until its Job is made (prefect 3.8.8, ``_submit_run``).
        """
        if not run.has_begun:
            await self._end(run, state=CANCELLED, message="it was cancelled before it began")
        await self._records.ask(cancel_run, run.id)

    async def _look_at_others(self, mine: Collection[str], known: Mapping[str, PodTrouble | None]) -> None:
        """End waiting pods without an open request: those of cancelled runs, and those of typed runs."""
        waiting = {id_: one for id_, one in known.items() if one and one.remedy in WAITING and id_ not in mine}
        for run in (await self._prefect.read_flow_runs(waiting)).values():
            trouble = waiting[run.id]
            if run.work_pool != POD_POOL:
                continue
            if run.state == "CANCELLING":
                await self._end(run, state=CANCELLED, message="it was cancelled")
            elif _age(trouble.since) > DEATH_NOTICED_SECONDS and (run.is_over or self._is_over(run, trouble)):
                await self._end(run, state=CRASHED, message=trouble.words)

    async def _end(self, run: FlowRun, *, state: str, message: str) -> None:
        """Remove a run's Jobs and end it in Prefect; a run that has ended keeps its state."""
        if self._pods is not None:
            await self._pods.remove(run.id)
        await self._prefect.end_flow_run(run.id, state=state, message=message)

    async def _tell(self, run: FlowRun, trouble: PodTrouble) -> None:
        await self._records.ask(note_trouble, run.id, cause=trouble.cause, detail=trouble.words)
        if self._is_over(run, trouble):
            logger.warning(
                "Run was ended: its pod cannot run", flow_run=run.id, cause=trouble.cause, reason=trouble.words
            )
            await self._prefect.end_flow_run(run.id, state=CRASHED, message=trouble.words)

    def _is_over(self, run: FlowRun, trouble: PodTrouble) -> bool:
        """Return whether a run has nothing to wait for any more."""
        age = _age(trouble.since)
        match trouble.remedy:
            case Remedy.NOTHING:
                return True
            case Remedy.TIME:
                return age > self._settings.pods_start
            case Remedy.ANOTHER_POD:  # unless the run was begun anew since, and its pod is still to come
                return run.since <= trouble.since and age > DEATH_NOTICED_SECONDS


def error_of(trouble: PodTrouble) -> StagingError:
    """Return the error of a run that ended by this trouble."""
    return RunLost(trouble.words) if trouble.remedy is Remedy.ANOTHER_POD else PodImpossible(trouble.words)


def _trouble(run: FlowRun, known: Mapping[str, PodTrouble | None]) -> PodTrouble | None:
    if run.id in known or run.state != "PENDING" or _age(run.since) < POD_MADE_SECONDS:
        return known.get(run.id)
    words = "the worker that took the run created no pod for it"
    return PodTrouble(remedy=Remedy.ANOTHER_POD, cause="NoJob", words=words, since=run.since)


def _age(moment: datetime) -> float:
    """Return how long ago something was, in seconds."""
    return (datetime.now(UTC) - moment).total_seconds()
