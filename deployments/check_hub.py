"""Tell whether a JupyterHub can be used as its block says: ``python -m deployments.check_hub [BLOCK]``."""

from __future__ import annotations

from blocks.hubs import resolve_hub
from deployments.connection_checks import run_check
from stager.models import SITES_HUB
from stager.peers.jupyter import HubConnection, check_hub

TITLE = "notebook hub"


def found(hub: HubConnection) -> str:
    """Return that a hub can be used; raises as `check_hub`."""
    return f"JupyterHub {check_hub(hub)} answers, and our token does what is needed"


if __name__ == "__main__":
    run_check(lambda name: found(resolve_hub(name)), default=SITES_HUB)
