"""``python -m deployments.local.hub``: become the JupyterHub of ``make up HUB=1``."""

from __future__ import annotations

import json
import os
from pathlib import Path

from deployments.local.hub import PROXY, PYTHON, command
from deployments.local.hub_connection import hub_token
from deployments.local.password import prefect_password
from deployments.local.settings import LocalSettings, own_username


def main() -> None:
    """Write what the hub is told, and become it; nothing else of our environment is with it or its users."""
    settings = LocalSettings()
    folder = settings.state / "hub"
    folder.mkdir(exist_ok=True)
    os.chdir(folder)
    _, hub_port, proxy_port = settings.hub_ports
    given = {
        "url": settings.hub_url,
        "hub_port": hub_port,
        "proxy_port": proxy_port,
        "proxy": str(PROXY),
        "password": prefect_password(settings).auth_string,
        "users": [own_username()],
        "homes": str(settings.notebooks),
    }
    Path("hub.json").write_text(json.dumps(given))
    kept = {name: value for name, value in os.environ.items() if name in {"LANG", "LC_ALL"}}
    path = f"{PYTHON.parent}:{os.environ['PATH']}"
    os.execve(PYTHON, command(), {**kept, "PATH": path, "HOME": str(folder), "STAGING_TOKEN": hub_token(settings)})  # noqa: S606 - our own program


if __name__ == "__main__":
    main()
