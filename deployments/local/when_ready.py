"""Run a module as soon as an address answers: ``python -m deployments.local.when_ready URL MODULE ARGUMENT...``.

Prefect's client takes seconds to import. Importing it while the server still
starts, on the other core, halves the wait.
"""

from __future__ import annotations

import importlib
import runpy
import sys
import time
from urllib.error import URLError
from urllib.request import urlopen

POLL = 0.1
SLOW_IMPORTS = ("prefect.cli.worker", "prefect.cli.deploy", "prefect.workers.process", "prefect.deployments")


def answers(url: str) -> bool:
    """Whether an address answers with success."""
    try:
        with urlopen(url, timeout=5) as response:  # noqa: S310 - our own http:// address
            return bool(response.status < 400)  # noqa: PLR2004 - HTTP's own limit (RFC 9110, section 15)
    except (URLError, OSError):
        return False


def main() -> None:
    """Import what takes long, wait, then become the module."""
    url, module, *arguments = sys.argv[1:]
    for slow in SLOW_IMPORTS:
        importlib.import_module(slow)
    while not answers(url):
        time.sleep(POLL)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
