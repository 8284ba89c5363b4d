"""A real JupyterHub with its proxy and real notebook servers, in a folder of its own."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from deployments.local import hub
from tests.patience import PATIENCE
from tests.ports import free_port
from tests.tls import TRUSTED

# Other services, and what each may do.
SCOPES = {
    "without-tokens": ["read:users", "servers", "access:servers"],
    "without-servers": ["read:users"],
    "that-starts-nothing": ["read:users", "read:servers", "tokens"],
}
# What takes most of a server's start: the grammar of a format that no schema of its events names, and JupyterLab.
LEFT_OUT = (
    "import sys; sys.modules.update(dict.fromkeys(['rfc3987_syntax', 'jupyterlab', 'jupyter_lsp', 'notebook_shim']))"
)
AWKWARD = "held.o'brien@ska.int"
USERS = [
    "alice",
    "bob",
    "carol",
    "dave",
    "nobody-started-me",
    AWKWARD,
    "held-long",
    "held-batch",
    "held.again",
    "failing",
    "vanishing",
]


class RunningHub:
    """JupyterHub 6; it ends with the tests, and so does all that it starts.

    Parameters
    ----------
    host
        This machine's address at which it is reached.
    """

    def __init__(self, folder: Path, *, host: str = "127.0.0.1") -> None:
        self.folder = folder
        self.log = folder / "hub.log"
        self.url = f"http://{host}:{free_port()}/prefix/"
        self.tokens = {name: secrets.token_hex(16) for name in ["staging", *SCOPES]}
        self._process: subprocess.Popen[bytes] | None = None
        given = {
            "url": self.url,
            "hub_port": free_port(),
            "proxy_port": free_port(),
            "proxy": str(hub.PROXY),
            "password": secrets.token_hex(16),
            "tokens": {name: self.tokens[name] for name in SCOPES},
            "scopes": SCOPES,
            "users": USERS,
            "homes": str(folder / "homes"),
            "configuration": str(hub.CONFIGURATION),
        }
        (folder / "hub.json").write_text(json.dumps(given))
        (folder / "python").mkdir()
        (folder / "python" / "sitecustomize.py").write_text(LEFT_OUT)
        (folder / "released").mkdir()
        (folder / "homes").mkdir()

    def start(self) -> None:
        environment = {name: value for name, value in os.environ.items() if name in {"PATH", "LANG", "LC_ALL"}}
        environment |= {"STAGER_TEST_HUB": str(self.folder), "HOME": str(self.folder)}
        environment |= {"PYTHONPATH": str(self.folder / "python"), "STAGING_TOKEN": self.tokens["staging"]}
        command = ["setpriv", "--pdeathsig", "TERM", "--", *hub.command(Path(__file__).with_name("hub_config.py"))]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}hub/api/", timeout=10, verify=TRUSTED).is_success:
                    return
            time.sleep(0.1)
        pytest.fail(f"JupyterHub did not start: {self.log.read_text()[-3000:]}")

    def stop(self) -> None:
        """Stop the hub, and with it the proxy and all notebook servers."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE)

    def die(self) -> None:
        """Kill the hub; its proxy and the notebook servers end with it here."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while self.pids():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def kill_proxy(self) -> None:
        """Kill what stands before the hub and the notebook servers, which the hub starts again."""
        os.kill(int((self.folder / "proxy.pid").read_text()), signal.SIGKILL)

    def home(self, username: str) -> Path:
        return self.folder / "homes" / username

    def release(self, username: str) -> None:
        """Let a server start that is held."""
        (self.folder / "released" / username).touch()

    def pids(self, username: str | None = None) -> list[int]:
        """Return the processes of the hub, or the notebook servers of one user with their kernels."""
        wanted = [f"STAGER_TEST_HUB={self.folder}"] + ([f"JUPYTERHUB_USER={username}"] if username else [])
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                environment = (process / "environ").read_bytes().split(b"\0")
                if all(variable.encode() in environment for variable in wanted):
                    found.append(int(process.name))
        return found


def is_installed() -> bool:
    return bool(hub.is_installed() and shutil.which("node") and shutil.which("setpriv"))
