"""JupyterHubs by name: edited as Prefect blocks, resolved here."""

from __future__ import annotations

from pydantic import SecretStr

from blocks.connections import resolve_connection
from blocks.jupyterhub import JupyterHub
from blocks.seeding import certificates_in, seed
from stager.models import SITES_HUB
from stager.settings import Settings

TITLE = "The notebook hub"


def resolve_hub(name: str = SITES_HUB) -> JupyterHub:
    """Return the hub of that name; raises as `resolve_connection`."""
    return resolve_connection(JupyterHub, name, title=TITLE)


async def seed_hub(settings: Settings) -> JupyterHub | None:
    """Write what the settings say of a hub into its block, as `seed` does, and return it.

    Returns
    -------
    JupyterHub or None
        None where the settings name no hub. Other hubs may be filled in all the same.

    Raises
    ------
    ConfigurationError
        The settings, or the block, say what cannot be.
    """
    await JupyterHub.aregister_type_and_schema()
    if settings.hub_url is None:
        return None
    said = {
        "url": settings.hub_url,
        "url_for_runs": settings.jupyterhub_url_for_runs or "",
        "token": (settings.jupyterhub_token or SecretStr("")).get_secret_value(),
        "certificates": certificates_in(settings.jupyterhub_ca_file),
    }
    return await seed(JupyterHub, SITES_HUB, said, title=TITLE)
