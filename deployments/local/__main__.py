"""``python -m deployments.local``: the service on one machine, in the foreground until Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

from deployments.local.banner import banner
from deployments.local.cannot_start import CannotStart
from deployments.local.checks import prepare
from deployments.local.hub_connection import hub_environment
from deployments.local.password import prefect_password
from deployments.local.products import FOLDER, MEASUREMENT_SET, make_products
from deployments.local.secret_key import secret_key
from deployments.local.settings import LocalSettings
from deployments.local.stack import started
from deployments.local.state import enterable
from stager.records.migrate import migrate


def main() -> int:
    """Run the stack until it is told to stop, and return the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell started us with SIGINT ignored
        signal.signal(number, _interrupt)
    os.umask(0o077)  # of every part, too: databases, logs and passwords are for no other account
    try:
        _run(LocalSettings())
    except CannotStart as problem:
        print(problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", flush=True)
    return 0


def _run(settings: LocalSettings) -> None:
    for sentence in prepare(settings):
        print(sentence, flush=True)
    password = prefect_password(settings)
    secrets = {"STAGER_SECRET_KEY": secret_key(settings), **hub_environment(settings)}
    migrate(settings.records_url)
    with started(settings, password.auth_string, secrets) as stack:
        print(f"Starting Prefect, a worker and the HTTP service; their logs are in {settings.logs}", flush=True)
        product = _product(settings.storage)
        stack.wait_until_ready()
        print(banner(settings, product=product, password=password), flush=True)
        stack.wait()


def _product(storage: Path) -> Path:
    """Return a product to try: the demo's, or one of the storage area's own."""
    own = sorted(path for path in storage.iterdir() if not path.name.startswith("."))
    if own and not (storage / FOLDER).exists():
        return own[0]
    with enterable():
        return make_products(storage) / MEASUREMENT_SET


def _interrupt(_: int, __: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
