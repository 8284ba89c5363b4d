"""``python -m deployments.local``: the service on one machine, in the foreground until Ctrl-C."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

from deployments.local.banner import banner
from deployments.local.checks import CannotStart, check
from deployments.local.products import FOLDER, MEASUREMENT_SET, make_products
from deployments.local.settings import LocalSettings
from deployments.local.stack import started
from stager.records.schema import migrate


def main() -> int:
    """Run the stack until it is told to stop, and return the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell started us with SIGINT ignored
        signal.signal(number, _interrupt)
    try:
        _run(LocalSettings())
    except CannotStart as problem:
        print(problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", flush=True)
    return 0


def _run(settings: LocalSettings) -> None:
    check(settings)
    migrate(settings.records_url)
    with started(settings) as stack:
        print(f"Starting Prefect, a worker and the HTTP service; their logs are in {settings.logs}", flush=True)
        product = _product(settings.storage)
        stack.wait_until_ready()
        print(banner(settings, product=product), flush=True)
        stack.wait()


def _product(storage: Path) -> Path:
    """Return a product to try: the demo's, unless somebody's own data are there."""
    own = sorted(path for path in storage.iterdir() if not path.name.startswith("."))
    if own and not (storage / FOLDER).exists():
        return own[0]
    return make_products(storage) / MEASUREMENT_SET


def _interrupt(_: int, __: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
