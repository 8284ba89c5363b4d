"""An action that is repeated while something else runs."""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)


@contextmanager
def repeated(action: Callable[[], object], *, interval: float, name: str) -> Iterator[None]:
    """Call an action in a thread every ``interval`` seconds while the body runs.

    An action that fails is logged and called again at its next time. Its
    thread has the caller's context, so that Prefect knows the run it is of.
    """
    done = threading.Event()

    def keep_calling() -> None:
        while not done.wait(interval):
            try:
                action()
            except Exception:  # a body must not fail because its company did
                logger.warning("%s failed; will retry", name, exc_info=True)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(keep_calling,), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
