"""A Prefect client that caches for some seconds what it has read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast
from uuid import UUID

from cachetools import TTLCache
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import Flow
from prefect.client.schemas.responses import DeploymentResponse

# A worker reads the deployment of a run three times, and its flow once, while
# it submits it. An edit counts after this time, in seconds.
FRESH_SECONDS = 5.0
# Deployments and flows that are cached.
MAX_ANSWERS = 1000

T = TypeVar("T")


class RecallingClient:
    """Passes all calls on to a client, but caches its answers on deployments and flows."""

    def __init__(self, client: PrefectClient) -> None:
        self._client = client
        self._known: TTLCache[UUID, Any] = TTLCache(MAX_ANSWERS, FRESH_SECONDS)

    @classmethod
    def of(cls, client: PrefectClient) -> PrefectClient:
        """Return a caching client in place of another."""
        return cast("PrefectClient", cls(client))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the client has
        return getattr(self._client, name)

    async def read_deployment(self, deployment_id: UUID) -> DeploymentResponse:
        """Return a deployment as it was at most ``FRESH_SECONDS`` seconds ago."""
        return await self._recall(deployment_id, self._client.read_deployment)

    async def read_flow(self, flow_id: UUID) -> Flow:
        """Return a flow as it was at most ``FRESH_SECONDS`` seconds ago."""
        return await self._recall(flow_id, self._client.read_flow)

    async def _recall(self, key: UUID, read: Callable[[UUID], Awaitable[T]]) -> T:
        answer: T | None = self._known.get(key)
        if answer is None:
            self._known[key] = answer = await read(key)
        return answer
