"""A client of Prefect's REST API, as much of it as the service needs.

Not by Prefect's own client: that one asks again and again for two minutes where
Prefect is away (docs/decisions/0011-prefect-is-asked-by-a-client-of-our-own.md).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Self

import httpx

from stager.dispatch.queue_position import PoolWorker, QueuePosition, RunQueue
from stager.errors import DeploymentMissing, PrefectUnavailable, RunRefused
from stager.prefect_http import PrefectAuth, prefect_trust
from stager.records.runs import RunGroup
from stager.settings import Settings

# Statuses that say nothing against the call itself: it may succeed later.
_NOT_NOW = frozenset({401, 403, 408, 425, 429})
# What an operator has to set where Prefect answers 401 or 403.
_UNKNOWN_USER = ": PREFECT_API_AUTH_STRING is not its password"
_UNKNOWN_KEY = ": PREFECT_API_KEY is not one of its keys"
_UNKNOWN_NAME = ": PREFECT_API_URL names it otherwise than its STAGER_PREFECT_HOSTS"
# The states of a run whose process ended without reporting how, and of one that was cancelled.
CRASHED = "CRASHED"
CANCELLED = "CANCELLED"
# As many runs as Prefect puts into one answer.
RUNS_AT_ONCE = 200


@dataclass(frozen=True)
class FlowRun:
    """A flow run as Prefect knows it: its state, since when, its work pool, and whether it ever began."""

    id: str
    state: str
    message: str
    since: datetime
    work_pool: str
    has_begun: bool

    @property
    def is_over(self) -> bool:
        """Whether it neither runs nor ever will."""
        return self.state in {"COMPLETED", "FAILED", CRASHED, CANCELLED}

    @property
    def is_lost(self) -> bool:
        """Whether its process died or could not begin: another run may take up its requests."""
        return self.state == CRASHED or (self.state == "FAILED" and not self.has_begun)


def deployment_of(method: str, *, in_pod: bool) -> str:
    """Return the full name of the deployment that does a method's recorded requests."""
    flow = method.replace("_", "-")
    return f"{flow}/{flow}-from-api-pod" if in_pod else f"{flow}/{flow}-from-api"


class PrefectClient:
    """Asks Prefect for flow runs and about them.

    Every method raises ``PrefectUnavailable`` when Prefect does not answer, or
    answers that it cannot just now.
    """

    def __init__(self, settings: Settings, *, timeout: float = 10.0) -> None:
        self._http = httpx.AsyncClient(
            base_url=settings.prefect_api_url,
            auth=PrefectAuth(settings),
            verify=prefect_trust(settings),
            timeout=timeout,
        )
        self._hints = {401: _UNKNOWN_KEY if settings.shows_prefect_a_key else _UNKNOWN_USER, 403: _UNKNOWN_NAME}
        self._deployments: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        """Return the client, which closes at the end of the block."""
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def check(self) -> None:
        """Check that Prefect's API and database answer, and that our password is accepted."""
        await self._ask("GET", "/ready")  # which asks for none
        await self._ask("GET", "/version")

    async def create_flow_run(self, group: RunGroup, *, pod: dict[str, Any] | None = None) -> str:
        """Create a run for recorded requests, and return its id.

        Idempotent: the same claim never gets a second run, whoever asks and
        however often.

        Parameters
        ----------
        pod
            Job variables of the pod that does it, None for a warm worker.

        Raises
        ------
        RunRefused
            Prefect will never run it as it was asked for.
        """
        body = {
            "name": f"{group.username} {group.method} {group.key[-4:]}",
            "parameters": {"request_ids": group.request_ids},
            "idempotency_key": group.key,
            "tags": [f"user:{group.username}"],
            "job_variables": pod,
        }
        name = deployment_of(group.method, in_pod=pod is not None)
        for _ in range(2):  # the deployment may have been registered anew, under another id
            deployment = await self._deployment(name)
            answer = await self._ask("POST", f"/deployments/{deployment}/create_flow_run", body)
            if answer.status_code != httpx.codes.NOT_FOUND:
                return str(_body(answer)["id"])
            self._deployments.pop(name, None)
        raise DeploymentMissing(_no_deployment(name))

    async def read_flow_runs(self, flow_run_ids: Collection[str]) -> dict[str, FlowRun]:
        """Return what Prefect knows of some runs, by their ids; those that it does not know are missing."""
        found: dict[str, FlowRun] = {}
        ids = sorted(set(flow_run_ids))
        for start in range(0, len(ids), RUNS_AT_ONCE):
            some = ids[start : start + RUNS_AT_ONCE]
            body = {"flow_runs": {"id": {"any_": some}}, "limit": RUNS_AT_ONCE}
            for run in _body(await self._ask("POST", "/flow_runs/filter", body)):
                found[run["id"]] = _flow_run(run)
        return found

    async def end_flow_run(self, flow_run_id: str, *, state: str, message: str) -> None:
        """Tell Prefect that a run has ended, where nobody else can; a run that has ended keeps its state."""
        body = {"state": {"type": state, "message": message}}
        await self._ask("POST", f"/flow_runs/{flow_run_id}/set_state", body)

    async def check_method(self, method: str, *, in_pod: bool = False) -> None:
        """Check that Prefect has the deployment of a method, or its deployment in pods.

        Raises
        ------
        DeploymentMissing
            It has not.
        """
        await self._deployment(deployment_of(method, in_pod=in_pod))

    async def place_of(self, flow_run_id: str) -> QueuePosition | None:
        """Return a run's position in Prefect's queues; None when Prefect does not know the run."""
        answer = await self._ask("GET", f"/flow_runs/{flow_run_id}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        run = _body(answer)
        place, pool, queue = _place(run), run.get("work_pool_name"), run.get("work_queue_name")
        if not (pool and queue) or place.state != "SCHEDULED":
            return place
        of_pool, of_queue = (
            {"work_pools": _named(pool)},
            {"work_pools": _named(pool), "work_pool_queues": _named(queue)},
        )
        return replace(
            place,
            pool=await self._line(f"/work_pools/{pool}", of_pool),
            queue=await self._line(f"/work_pools/{pool}/queues/{queue}", of_queue),
            worker=await self._worker(pool),
            ahead=await self._ahead(of_pool, run["expected_start_time"]),
        )

    async def _line(self, path: str, its: dict[str, Any]) -> RunQueue:
        said = _body(await self._ask("GET", path))
        is_under_way = {"flow_runs": {"state": {"type": {"any_": ["PENDING", "RUNNING"]}}}}  # as Prefect counts
        under_way = _body(await self._ask("POST", "/flow_runs/count", is_under_way | its))
        return RunQueue(said["name"], said["is_paused"], said["concurrency_limit"], under_way)

    async def _worker(self, pool: str) -> PoolWorker | None:
        """Return the worker of a pool that polled last."""
        found = _body(await self._ask("POST", f"/work_pools/{pool}/workers/filter", {}))
        workers = [PoolWorker(one["name"], seen) for one in found if (seen := _moment(one.get("last_heartbeat_time")))]
        return max(workers, key=lambda worker: worker.seen, default=None)

    async def _ahead(self, its: dict[str, Any], expected: str) -> int:
        """Return how many runs of a pool were scheduled before a moment and have not begun."""
        not_begun = {
            "state": {"type": {"any_": ["SCHEDULED", "PENDING"]}},
            "expected_start_time": {"before_": expected},
        }
        return max(0, int(_body(await self._ask("POST", "/flow_runs/count", {"flow_runs": not_begun} | its))) - 1)

    async def _deployment(self, name: str) -> str:
        if name not in self._deployments:
            answer = await self._ask("GET", f"/deployments/name/{name}")
            if answer.status_code == httpx.codes.NOT_FOUND:
                raise DeploymentMissing(_no_deployment(name))
            self._deployments[name] = str(_body(answer)["id"])
        return self._deployments[name]

    async def _ask(self, verb: str, path: str, body: object = None) -> httpx.Response:
        try:
            answer = await self._http.request(verb, path, json=body)
        except httpx.HTTPError as error:
            raise PrefectUnavailable(str(error) or type(error).__name__) from error
        if answer.is_server_error or answer.status_code in _NOT_NOW:
            hint = self._hints.get(answer.status_code, "")
            reason = f"it answered {answer.status_code} {answer.reason_phrase}{hint}"
            raise PrefectUnavailable(reason)
        return answer


def _no_deployment(name: str) -> str:
    return f"the deployment {name} is not registered yet"


def _flow_run(body: dict[str, Any]) -> FlowRun:
    state = body["state"] or {}
    since = datetime.fromisoformat(state.get("timestamp") or body["created"])
    message, work_pool = str(state.get("message") or ""), str(body.get("work_pool_name") or "")
    has_begun = body["run_count"] > 0  # a start_time has also what failed before
    return FlowRun(body["id"], str(body["state_type"]), message, since, work_pool, has_begun)


def _place(run: dict[str, Any]) -> QueuePosition:
    state = run["state"] or {}
    since = _moment(state.get("timestamp")) or _moment(run.get("created")) or datetime.now(UTC)
    return QueuePosition(str(run["state_type"]), str(state.get("name")), str(state.get("message") or ""), since)


def _named(name: str) -> dict[str, Any]:
    return {"name": {"any_": [name]}}


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _body(answer: httpx.Response) -> Any:  # noqa: ANN401 - JSON
    """Return the body of a successful answer."""
    if answer.is_client_error:
        reason = f"{answer.status_code}: {answer.text[:500]}"
        raise RunRefused(reason)
    return answer.json()
