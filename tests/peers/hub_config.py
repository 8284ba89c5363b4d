"""The tests' JupyterHub: users whose servers start, wait, fail or end at once, by what the name begins with."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from jupyterhub.spawner import SimpleLocalProcessSpawner

FOLDER = Path(os.environ["STAGER_TEST_HUB"])
GIVEN = json.loads((FOLDER / "given.json").read_text())
# Each ends with whoever started it. As root no mode bit counts, unless root's privileges are gone for good.
ENDS_WITH_US = ["setpriv", "--pdeathsig", "TERM", "--"]
BOUND_BY_MODES = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"] if os.geteuid() == 0 else []


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
c.JupyterHub.bind_url = GIVEN["url"]
c.JupyterHub.hub_port = GIVEN["hub_port"]
c.JupyterHub.db_url = f"sqlite:///{FOLDER}/hub.sqlite"
c.JupyterHub.cookie_secret_file = f"{FOLDER}/cookie_secret"
c.JupyterHub.authenticator_class = "shared-password"
c.JupyterHub.allow_named_servers = True
c.JupyterHub.load_roles = [
    {"name": name, "services": [name], "scopes": scopes} for name, scopes in GIVEN["scopes"].items()
]
c.JupyterHub.services = [{"name": name, "api_token": token} for name, token in GIVEN["tokens"].items()]
exec(GIVEN["lines"])
# A start is answered while it goes on, if it takes longer than this.
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 1}
c.SharedPasswordAuthenticator.user_password = GIVEN["password"]
c.Authenticator.allow_all = True
c.Authenticator.allowed_users = set(GIVEN["users"])
c.ConfigurableHTTPProxy.api_url = GIVEN["proxy_api"]
c.ConfigurableHTTPProxy.command = [*ENDS_WITH_US, "node", GIVEN["proxy"]]
c.ConfigurableHTTPProxy.check_running_interval = 1
c.ConfigurableHTTPProxy.pid_file = f"{FOLDER}/proxy.pid"
c.JupyterHub.spawner_class = Spawner
c.Spawner.cmd = [*ENDS_WITH_US, *BOUND_BY_MODES, sys.executable, "-m", "jupyterhub.singleuser"]
c.Spawner.args = ["--allow-root"]
c.Spawner.env_keep = ["PATH", "PYTHONPATH", "LANG", "LC_ALL", "STAGER_TEST_HUB"]
c.Spawner.start_timeout = 120
c.SimpleLocalProcessSpawner.home_dir_template = f"{FOLDER}/homes/{{username}}"
