"""rclone as an object store: real files in a folder, over plain HTTP."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx

from tests.patience import PATIENCE
from tests.ports import free_port

# Beside Python, where the locked packages are, or wherever the machine has one.
PROGRAM = shutil.which("rclone", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")


class RunningRclone:
    """``rclone serve s3``, which ends with the tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.access_key, self.secret_key = secrets.token_hex(10), secrets.token_hex(20)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        keys = f"{self.access_key},{self.secret_key}"
        store = self.folder / "store"
        store.mkdir()
        listens = ["--addr", f"127.0.0.1:{self.port}", "--auth-key", keys]
        command = [PROGRAM or "rclone", "serve", "s3", "--config", "/dev/null", *listens, str(store)]
        with (self.folder / "rclone.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *command], cwd=self.folder, stdout=log, stderr=log
            )
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(httpx.HTTPError):
                httpx.get(self.endpoint, timeout=5)
                return
            time.sleep(0.05)
        raise AssertionError((self.folder / "rclone.log").read_text())

    def stop(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
