"""The tests' JupyterHub: users whose servers start, wait, fail or end at once, by what the name begins with."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from jupyterhub.spawner import SimpleLocalProcessSpawner

FOLDER = Path.cwd()
GIVEN = json.loads((FOLDER / "hub.json").read_text())


class Spawner(SimpleLocalProcessSpawner):  # type: ignore[misc]
    """Starts real notebook servers, and others as their users' names say."""

    async def start(self) -> Any:
        name = self.user.name
        if name.startswith("failing"):
            message = "No machine has room for it"
            raise RuntimeError(message)
        if name.startswith("vanishing"):
            self.cmd = ["false"]
            self.http_timeout = 1
        while name.startswith("held") and not (FOLDER / "released" / name).exists():  # noqa: ASYNC110 - by another process
            await asyncio.sleep(0.02)
        return await super().start()

    async def progress(self) -> Any:
        yield {"progress": 40, "message": "Waiting for a machine"}


c = get_config()  # type: ignore[name-defined]  # noqa: F821 - JupyterHub gives it
load_subconfig(GIVEN["configuration"])  # type: ignore[name-defined]  # noqa: F821 - likewise
c.JupyterHub.allow_named_servers = True
for name, scopes in GIVEN["scopes"].items():
    c.JupyterHub.services.append({"name": name, "api_token": GIVEN["tokens"][name]})
    c.JupyterHub.load_roles.append({"name": name, "services": [name], "scopes": scopes})
# A start is answered while it goes on, if it takes longer than this.
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 1}
# Less than we ask for.
c.JupyterHub.token_expires_in_max_seconds = 12 * 3600
c.Authenticator.allow_all = True
c.ConfigurableHTTPProxy.check_running_interval = 1
c.JupyterHub.spawner_class = Spawner
c.Spawner.env_keep += ["PYTHONPATH", "STAGER_TEST_HUB"]
c.Spawner.start_timeout = 120
