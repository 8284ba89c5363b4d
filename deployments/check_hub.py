"""Tell whether a JupyterHub can be used as its block says: ``python -m deployments.check_hub [BLOCK]``."""

from __future__ import annotations

import sys

from blocks.hubs import resolve_hub
from stager.errors import StagingError
from stager.models import SITES_HUB
from stager.peers.jupyter import HubConnection, check_hub


def finding(name: str, hub: HubConnection) -> str:
    """Return what a hub's check has found, for whoever connects it."""
    try:
        return f"notebook hub {name!r}: JupyterHub {check_hub(hub)} answers, and our token does what is needed"
    except StagingError as error:
        return f"notebook hub {name!r}: {error.message}"


def main() -> None:
    """Check the hub that is named, and fail where something is wrong."""
    name = sys.argv[1] if len(sys.argv) > 1 else SITES_HUB
    try:
        version = check_hub(resolve_hub(name))
    except StagingError as error:
        sys.exit(error.message)
    print(f"JupyterHub {version} answers, and our token does what is needed")


if __name__ == "__main__":
    main()
