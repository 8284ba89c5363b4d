"""Register storage areas, work pool and deployments with Prefect: ``python -m deployments.register``.

May be repeated: what is there already and unchanged stays as it is.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

from prefect.cli import app
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists

from blocks.areas import seed_areas
from deployments import WORK_POOL
from stager.settings import get_settings
from workers import WarmWorker


async def _prepare() -> None:
    async with get_client() as client:
        with suppress(ObjectAlreadyExists):
            template = WarmWorker.get_default_base_job_template()
            await client.create_work_pool(
                WorkPoolCreate(name=WORK_POOL, type=WarmWorker.type, base_job_template=template)
            )
    for name in await seed_areas(get_settings()):
        print(f"storage area {name!r} written")


def main() -> None:
    """Register everything that prefect.yaml and the settings name."""
    asyncio.run(_prepare())
    sys.argv = ["prefect", "--no-prompt", "deploy", "--all"]
    app()


if __name__ == "__main__":
    main()
