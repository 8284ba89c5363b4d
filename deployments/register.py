"""Register storage areas, other servers, work pools and deployments: ``python -m deployments.register``.

May be repeated: what is there already and unchanged stays as it is.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import yaml
from anyio.to_thread import run_sync
from prefect.cli import app
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectAlreadyExists

from blocks.areas import seed_areas
from blocks.hubs import seed_hub
from blocks.object_store import seed_store
from deployments import POD_POOL, WORK_POOL, check_hub, check_store
from deployments.connection_checks import finding
from deployments.job_template import base_job_template, read_pods
from stager.errors import ConfigurationError
from stager.models import SITES_HUB, SITES_STORE
from stager.settings import Settings, get_settings
from workers import WarmWorker
from workers.password_check import check_password

PROJECT = Path("prefect.yaml")
B = TypeVar("B")


async def _prepare(settings: Settings) -> None:
    async with get_client() as client:
        await _prepare_pool(client, WORK_POOL, WarmWorker.type, template=WarmWorker.get_default_base_job_template())
        if settings.pods_namespace is not None:
            await _prepare_pool(client, POD_POOL, "kubernetes", template=_pods(settings, settings.pods_namespace))
    for name in await seed_areas(settings):
        print(f"storage area {name!r} written")
    await _prepare_peer(check_hub.TITLE, SITES_HUB, seed_hub(settings), check_hub.found)
    await _prepare_peer(check_store.TITLE, SITES_STORE, seed_store(settings), check_store.found)


async def _prepare_peer(title: str, name: str, seeding: Awaitable[B | None], check: Callable[[B], str]) -> None:
    """Write a server's block and tell whether it can be used; whoever stages elsewhere does not wait for it to be."""
    try:
        block = await seeding
    except ConfigurationError as error:
        print(error.message)
        return
    if block is not None:
        print(await run_sync(finding, title, name, lambda: check(block)))


async def _prepare_pool(client: PrefectClient, name: str, kind: str, *, template: dict[str, Any]) -> None:
    """Make a pool, or update its template; an operator's edits in Prefect's pages are overwritten."""
    with suppress(ObjectAlreadyExists):
        await client.create_work_pool(WorkPoolCreate(name=name, type=kind, base_job_template=template))
    if (await client.read_work_pool(name)).base_job_template != template:
        await client.update_work_pool(name, WorkPoolUpdate(base_job_template=template))
        print(f"job template of {name!r} written")


def _pods(settings: Settings, namespace: str) -> dict[str, Any]:
    if settings.pods_file is None:
        raise ConfigurationError("STAGER_PODS_FILE", "it is not set, and STAGER_PODS_NAMESPACE is")
    pods = read_pods(settings.pods_file)
    return base_job_template(pods, namespace=namespace, least_id=settings.least_user_id)


def _deployments(*, with_pods: bool) -> list[str]:
    """Return the options that name the deployments of the existing pools."""
    if with_pods:
        return ["--all"]
    known = yaml.safe_load(PROJECT.read_text())["deployments"]
    return [option for one in known if one["work_pool"]["name"] != POD_POOL for option in ("--name", one["name"])]


def main() -> None:
    """Register everything that prefect.yaml and the settings name."""
    settings = get_settings()
    check_password()
    asyncio.run(_prepare(settings))
    sys.argv = ["prefect", "--no-prompt", "deploy", *_deployments(with_pods=settings.pods_namespace is not None)]
    app()


if __name__ == "__main__":
    main()
