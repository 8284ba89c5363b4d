"""JupyterHubs by name: edited as Prefect blocks, resolved here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from pydantic import SecretStr

from blocks.connections import connection, resolve_connection
from blocks.jupyterhub import JupyterHub
from stager.errors import ConfigurationError
from stager.models import SITES_HUB
from stager.settings import Settings

TITLE = "The notebook hub"


def resolve_hub(name: str = SITES_HUB) -> JupyterHub:
    """Return the hub of that name; raises as `resolve_connection`."""
    return resolve_connection(JupyterHub, name, title=TITLE)


async def seed_hub(settings: Settings) -> JupyterHub | None:
    """Write what the settings say of a hub into its block where they have changed, and return what it says then.

    What they say nothing of stays as an operator filled it in, and is emptied where they said something before; an
    edit of the rest stays until the environment itself says something else than it said at the last seeding.

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
    said = _said(settings.hub_url, settings)
    seed = json.dumps(said)
    data = await _data()
    seeded_from = data.get("seeded_from")
    if seeded_from == seed:
        return _hub(data)
    emptied = dict.fromkeys(_fields_of(seeded_from), "")
    hub = _hub({**data, **emptied, **said, "seeded_from": seed})
    await hub.asave(SITES_HUB, overwrite=True)
    return hub


def _said(url: str, settings: Settings) -> dict[str, str]:
    token, file = settings.jupyterhub_token or SecretStr(""), settings.jupyterhub_ca_file
    try:
        certificates = file.read_text() if file else ""
    except (OSError, ValueError) as error:
        raise ConfigurationError(str(file), str(error)) from error
    said = {
        "url": url,
        "url_for_runs": settings.jupyterhub_url_for_runs or "",
        "token": token.get_secret_value(),
        "certificates": certificates,
    }
    return {field: value for field, value in said.items() if value}


def _fields_of(seed: str | None) -> list[str]:
    """Return what the settings said something of; nothing where somebody wrote over it."""
    with suppress(ValueError, TypeError):
        return [*json.loads(seed or "{}")]
    return []


async def _data() -> dict[str, Any]:
    """Return what Prefect has of the settings' hub, with its secrets; nothing where it has none."""
    async with get_client() as prefect:
        try:
            document = await prefect.read_block_document_by_name(SITES_HUB, JupyterHub.get_block_type_slug())
        except ObjectNotFound:
            return {}
    return dict(document.data)


def _hub(data: Mapping[str, Any]) -> JupyterHub:
    return connection(JupyterHub, SITES_HUB, data, title=TITLE)
