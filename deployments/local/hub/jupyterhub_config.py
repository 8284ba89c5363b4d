"""JupyterHub's configuration, by what hub.json says in the folder in which it is started, and keeps its state."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

GIVEN = json.loads(Path("hub.json").read_text())
# Each ends with whoever started it. As root no mode bit counts, unless root's privileges are gone for good.
ENDS_WITH_US = ["setpriv", "--pdeathsig", "TERM", "--"]
BOUND_BY_MODES = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"] if os.geteuid() == 0 else []
# How an operator makes the service "staging" at a hub, word for word; its token is in our environment.
PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "notebooks.md"
(LINES,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE)

c = get_config()  # type: ignore[name-defined]  # noqa: F821 - JupyterHub gives it
exec(LINES)  # noqa: S102 - our own page
c.JupyterHub.bind_url = GIVEN["url"]
c.JupyterHub.hub_port = GIVEN["hub_port"]
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = GIVEN["password"]
c.Authenticator.allowed_users = set(GIVEN["users"])
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{GIVEN['proxy_port']}"
c.ConfigurableHTTPProxy.command = [*ENDS_WITH_US, "node", GIVEN["proxy"]]
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = f"{GIVEN['homes']}/{{username}}"
c.Spawner.cmd = [*ENDS_WITH_US, *BOUND_BY_MODES, sys.executable, "-m", "jupyterhub.singleuser"]
c.Spawner.args = ["--allow-root", "--LanguageServerManager.autodetect=False"]  # that would run npm at each start
c.Spawner.env_keep = ["PATH", "LANG", "LC_ALL"]
