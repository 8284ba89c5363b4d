"""The steps of items that go to another server: done here, where its secret is, some items at a time.

A mover is its user's, and what a user's process holds is the user's: so the
secret stays in this process. What the user may read, their mover opens.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import Any

from stager.engine import Control
from stager.errors import StagingError, UnforeseenError
from stager.methods import Item, StagingMethod
from stager.mover.answers import Watch
from stager.mover.borrowing import borrowed
from stager.mover.handle import Mover
from stager.mover.replies import StepDone
from stager.mover.steps import STEPS, MoverItems
from stager.paths import Descriptor, Location
from stager.vocabulary import ManifestEntry

logger = logging.getLogger(__name__)


class Sender:
    """Does what a mover does for a place that is mounted.

    Parameters
    ----------
    method
        Connected.
    mover
        Opens the sources.
    roots
        The user's folders, open.
    """

    def __init__(self, method: StagingMethod, mover: Mover, roots: Mapping[Path, Descriptor]) -> None:
        self._method = method
        self._mover = mover
        self._roots = roots
        self._items = MoverItems(method, {})

    def begin(self, method: str, items: Mapping[int, Item]) -> None:
        """Take items, by ids of the caller's; those of before are forgotten."""
        self._mover.begin(method, items)
        self._items = MoverItems(
            self._method,
            {
                item_id: replace(
                    item, source=borrowed(item, mover=self._mover, item_id=item_id, roots=self._roots)
                )
                for item_id, item in items.items()
            },
        )

    def do(self, step: str, watches: Mapping[int, Watch]) -> Iterator[tuple[int, StepDone | StagingError]]:
        """Do a step for some items, and yield for each what came of it, in no order that counts."""
        if step == "flush":  # the other server's business
            yield from ((item_id, StepDone(says="done", id=item_id)) for item_id in watches)
            return
        left = threading.Event()
        with ThreadPoolExecutor(self._method.promise.width) as pool:
            try:
                waiting = {
                    pool.submit(self._done, step, item_id, _Told(watch, left)): item_id
                    for item_id, watch in watches.items()
                }
                while waiting:
                    for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                        yield waiting.pop(future), future.result()
            finally:
                left.set()
                pool.shutdown(wait=False, cancel_futures=True)

    def _done(self, step: str, item_id: int, told: _Told) -> StepDone | StagingError:
        try:
            said = STEPS[step](self._items, item_id, told)
        except StagingError as error:
            return error
        except Exception as error:
            logger.exception("Unforeseen error in the step %s", step)
            return UnforeseenError(error)
        return StepDone.model_validate({"says": "done", "id": item_id, **said})

    def sweep(self, method: str, folders: Sequence[Location]) -> list[int | StagingError]:
        """Return how many leftovers of the dead were removed in each folder, or why they could not be looked for."""
        return [self._swept(folder) for folder in folders]

    def _swept(self, folder: Location) -> int | StagingError:
        try:
            return self._method.sweep(folder)
        except StagingError as error:
            return error

    def end(self) -> None:
        """Discard what is not published, and forget the items."""
        self._items.discard()
        self._mover.end()


class _Told:
    """What a step tells and asks, in the thread that does it."""

    def __init__(self, watch: Watch, left: threading.Event) -> None:
        self._watch = watch
        self._left = left

    def is_set(self) -> bool:
        """Return whether the item is to be left."""
        return self._watch.stopped.is_set() or self._left.is_set()
