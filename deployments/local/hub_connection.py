"""How the service reaches the JupyterHub that ``make up HUB=1`` starts beside it."""

from __future__ import annotations

import secrets

from deployments.local.settings import LocalSettings
from deployments.local.state import kept_text


def hub_environment(settings: LocalSettings) -> dict[str, str]:
    """Return the variables that connect the service to the hub, where one is started beside it."""
    if not settings.hub:
        return {}
    return {"JUPYTERHUB_URL": settings.hub_url, "STAGER_JUPYTERHUB_TOKEN": hub_token(settings)}


def hub_token(settings: LocalSettings) -> str:
    """Return the token of the hub's service for stagings, made at the first start."""
    return kept_text(settings.state / "hub-token", lambda: secrets.token_hex(32))
