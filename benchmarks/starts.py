"""How long `make up` takes until the service is ready: in a fresh clone, and a second time.

``python -m benchmarks.starts`` prints both in seconds. uv takes what it has downloaded before from its cache,
so run it twice: the second time nothing is downloaded.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import closing
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
READY = "Ctrl-C stops everything."


def start(clone: Path, environment: dict[str, str]) -> float:
    """Return the seconds until the service was ready, and stop it."""
    began = time.monotonic()
    with subprocess.Popen(
        ["make", "up"], cwd=clone, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        lines = process.stdout or ()
        if not any(READY in line for line in lines):
            message = "make up ended before it was ready"
            raise RuntimeError(message)
        seconds = time.monotonic() - began
        os.killpg(process.pid, signal.SIGINT)
        for _ in lines:
            """Read on, so that it can say goodbye."""
    return seconds


def _free_port() -> str:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return str(listener.getsockname()[1])


def main() -> None:
    """Measure both starts."""
    environment = {**os.environ, "STAGER_PORT": _free_port(), "PREFECT_SERVER_API_PORT": _free_port()}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "clone", "--quiet", str(CHECKOUT), folder], check=True)
        load = Path("/proc/loadavg").read_text().split()[0]
        first, second = (start(Path(folder), environment) for _ in range(2))
    print(f"{os.cpu_count()} cores, load {load} before: first start {first:.1f} s, second {second:.1f} s")


if __name__ == "__main__":
    main()
