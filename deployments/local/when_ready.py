"""Run a module as soon as Prefect answers: ``python -m deployments.local.when_ready URL MODULE ARGUMENT...``.

The address is that of Prefect's health. Prefect's client takes seconds to import.
Importing it while the server still starts, on the other core, halves the wait.
"""

from __future__ import annotations

import importlib
import runpy
import sys
import time

import httpx

from stager.prefect_http import PrefectAuth, prefect_trust
from stager.settings import get_settings

POLL_SECONDS = 0.1
SLOW_IMPORTS = ("prefect.cli.worker", "prefect.cli.deploy", "prefect.workers.process", "prefect.deployments")


def main() -> None:
    """Import what takes long, wait until Prefect answers, then run the module."""
    url, module, *arguments = sys.argv[1:]
    for slow in SLOW_IMPORTS:
        importlib.import_module(slow)
    settings = get_settings()
    with httpx.Client(auth=PrefectAuth(settings), verify=prefect_trust(settings), timeout=5) as prefect:
        while not answers(prefect, url):
            time.sleep(POLL_SECONDS)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def answers(client: httpx.Client, url: str) -> bool:
    """Whether an address answers with success."""
    try:
        return not client.get(url).is_error
    except httpx.HTTPError:
        return False


if __name__ == "__main__":
    main()
