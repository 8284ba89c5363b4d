"""The flows that are installed beside the worker, which runs these and no others."""

from __future__ import annotations

import logging
import pkgutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from prefect import Flow
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse

from stager.errors import readable

# A package's name, not an import: no import ties the worker to a flow.
FLOWS = "flows"

logger = logging.getLogger(__name__)


class ForeignFlow(Exception):
    """A run would execute something else than one of the installed flows."""


def flows_of(package: str) -> dict[str, Flow[..., Any]]:
    """Import all modules of a package, and return its flows by their entrypoints."""
    return {
        f"{module.__name__}.{name}": found
        for module in _modules(package)
        for name, found in vars(module).items()
        if isinstance(found, Flow)
    }


async def entrypoint_of(flow_run: FlowRun, flows: Mapping[str, Flow[..., Any]], client: PrefectClient) -> str:
    """Return the entrypoint of a run, which must be that of one of some flows.

    Whoever may make a deployment in Prefect names in it what is imported, and
    what is executed before that (its pull steps). Neither is done for them.

    Raises
    ------
    ForeignFlow
        It is another one, or there is more to execute.
    """
    if flow_run.deployment_id is None:
        message = "it has no deployment, and only deployments of the flows that are installed here are run"
        raise ForeignFlow(message)
    deployment = await client.read_deployment(flow_run.deployment_id)
    return _checked(deployment, flows)


def _checked(deployment: DeploymentResponse, flows: Mapping[str, Flow[..., Any]]) -> str:
    entrypoint = deployment.entrypoint or ""
    if entrypoint not in flows:
        message = f"the entrypoint of its deployment, {readable(entrypoint)!r}, is not one of the installed flows"
        raise ForeignFlow(message)
    if deployment.pull_steps:
        message = "its deployment has pull steps, and nothing but the flows installed here is executed"
        raise ForeignFlow(message)
    return entrypoint


def _modules(package: str) -> Iterator[ModuleType]:
    if root := _import(package):
        yield root
        for found in pkgutil.iter_modules(getattr(root, "__path__", ()), f"{package}."):
            if module := _import(found.name):
                yield module


def _import(name: str) -> ModuleType | None:
    try:
        return import_module(name)
    except Exception:  # the others are run; a run of this one says that it is not here
        logger.exception("%s cannot be imported", name)
        return None
