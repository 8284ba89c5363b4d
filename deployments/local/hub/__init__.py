"""The programs of a JupyterHub on this machine, for ``make up HUB=1`` and for the tests: no more is imported here."""

from __future__ import annotations

from pathlib import Path

CHECKOUT = Path(__file__).parents[3]
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
