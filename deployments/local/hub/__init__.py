"""A JupyterHub on this machine's loopback, for ``make up HUB=1`` and for the tests."""

from __future__ import annotations

import secrets
from pathlib import Path

from deployments.local.settings import CHECKOUT, LocalSettings
from deployments.local.state import kept_text

# What `deployments/local/hub/install` puts there.
PYTHON = CHECKOUT / ".run/venv-hub/bin/python"
PROXY = CHECKOUT / ".run/hub-proxy/node_modules/configurable-http-proxy/bin/configurable-http-proxy"
CONFIGURATION = Path(__file__).with_name("jupyterhub_config.py")


def is_installed() -> bool:
    """Whether the hub's programs are there."""
    return PYTHON.exists() and PROXY.exists()


def command(configuration: Path = CONFIGURATION) -> list[str]:
    """Return what starts the hub; its own script knows only the place where its environment was made."""
    return [str(PYTHON), "-m", "jupyterhub", "-f", str(configuration)]


def hub_environment(settings: LocalSettings) -> dict[str, str]:
    """Return the variables that connect the service to the hub, where one is started beside it."""
    if not settings.hub:
        return {}
    return {"JUPYTERHUB_URL": settings.hub_url, "STAGER_JUPYTERHUB_TOKEN": hub_token(settings)}


def hub_token(settings: LocalSettings) -> str:
    """Return the token of the hub's service for stagings, made at the first start."""
    return kept_text(settings.state / "hub-token", lambda: secrets.token_hex(32))
