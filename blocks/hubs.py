"""JupyterHubs by name: edited as Prefect blocks, resolved here."""

from __future__ import annotations

from blocks.connections import resolve_connection
from blocks.jupyterhub import JupyterHub
from blocks.seeding import seed
from stager.models import SITES_HUB
from stager.settings import Settings

TITLE = "The notebook hub"


def resolve_hub(name: str = SITES_HUB) -> JupyterHub:
    """Return the hub of that name; raises as `resolve_connection`."""
    return resolve_connection(JupyterHub, name, title=TITLE)


async def seed_hub(settings: Settings) -> JupyterHub | None:
    """Write what the settings say of a hub into its block, and return it; as `seed` does."""
    said = {
        "url": settings.hub_url,
        "url_for_runs": settings.jupyterhub_url_for_runs,
        "token": settings.jupyterhub_token,
    }
    certificates = settings.jupyterhub_ca_file
    return await seed(JupyterHub, SITES_HUB, said, address="url", certificates=certificates, title=TITLE)
