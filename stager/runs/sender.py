"""The steps of items that go to another server: done here, where its secret is, some items at a time.

A mover is its user's, and what a user's process holds is the user's: so the
secret stays in this process. What the user may read, their mover opens.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from stager.engine import Control, Refuse
from stager.errors import StagingError, UnforeseenError
from stager.methods import IsLiving, Item, StagingMethod
from stager.mover.answers import Watch
from stager.mover.borrowing import borrowed
from stager.mover.mover import Mover
from stager.mover.replies import StepDone
from stager.mover.steps import STEPS, ItemsAtWork
from stager.paths import Descriptor, Place
from stager.vocabulary import ManifestEntry

logger = logging.getLogger(__name__)


class Sender:
    """Does what a mover does where the place is a mounted folder.

    Parameters
    ----------
    method
        Connected.
    mover
        Opens the sources.
    roots
        The user's folders, open.
    is_living
        Whether another living run writes to a destination, by its key.
    """

    def __init__(
        self, method: StagingMethod, mover: Mover, roots: Mapping[Path, Descriptor], *, is_living: IsLiving
    ) -> None:
        self._method = method
        self._mover = mover
        self._roots = roots
        self._is_living = is_living
        self._items = ItemsAtWork(method, {})

    def begin(self, _: str, items: Mapping[int, Item]) -> None:
        """Take items for its method, by ids of the caller's; they replace those taken before."""
        self._items.discard()
        self._mover.lend_from({item_id: item.source for item_id, item in items.items() if item.read_as == "user"})
        self._items = ItemsAtWork(self._method, {item_id: self._readable(item_id, items[item_id]) for item_id in items})

    def _readable(self, item_id: int, item: Item) -> Item:
        return replace(item, source=borrowed(item, mover=self._mover, item_id=item_id, roots=self._roots))

    def do(
        self, step: str, watches: Mapping[int, Watch], *, refuse: Refuse = lambda _: {}
    ) -> Iterator[tuple[int, StepDone | StagingError]]:
        """Do a step for some items, as many at once as the method says, and yield the result of each, in any order."""
        if step == "flush":
            self._method.flush(())
            yield from ((item_id, StepDone(says="done", id=item_id)) for item_id in watches)
            return
        left = threading.Event()
        with ThreadPoolExecutor(self._method.promise.width) as pool:
            try:
                going = {
                    pool.submit(
                        self._done, partial(self._step, step, item_id, _DirectDialogue(watch, left), refuse)
                    ): item_id
                    for item_id, watch in watches.items()
                }
                while going:
                    for future in wait(going, return_when=FIRST_COMPLETED).done:
                        yield going.pop(future), future.result()
            finally:
                left.set()
                pool.shutdown(cancel_futures=True)

    def _done(self, work: Callable[[], StepDone | StagingError]) -> StepDone | StagingError:
        try:
            return work()
        except StagingError as error:
            return error
        except Exception as error:
            logger.exception("Unforeseen error in a step")
            return UnforeseenError(error)

    def _step(self, step: str, item_id: int, dialogue: _DirectDialogue, refuse: Refuse) -> StepDone | StagingError:
        if step != "publish":
            said = STEPS[step](self._items, item_id, dialogue)
        elif isinstance(outcome := self._items.publish([item_id], refuse)[item_id], StagingError):
            return outcome
        else:
            said = {"delivered": asdict(outcome)}
        return StepDone.model_validate({"says": "done", "id": item_id, **said})

    def sweep(self, _: str, folders: Sequence[Place]) -> list[int | StagingError]:
        """Return how many leftovers of dead runs were removed in each folder, or the error."""
        return [self._swept(folder) for folder in folders]

    def _swept(self, folder: Place) -> int | StagingError:
        try:
            return self._method.sweep(folder, is_living=self._is_living)
        except StagingError as error:
            return error

    def end(self) -> None:
        """Discard what is not published, and forget the items."""
        self._items.discard()
        self._mover.end()


class _DirectDialogue(threading.Event):
    """What a step tells and asks, in the thread that does it; as an event, it is set when the item is to be left."""

    def __init__(self, watch: Watch, left: threading.Event) -> None:
        super().__init__()
        self._watch = watch
        self._left = left
        self.on_file = watch.on_file

    def is_set(self) -> bool:
        """Return whether the item is to be left, or all are."""
        return self._watch.stopped.is_set() or self._left.is_set()

    def control(self) -> Control:
        """Return a control that reports the item's progress, and cancels it."""
        return Control(self._watch.on_progress, self)

    def known(self) -> Iterator[ManifestEntry]:
        """Yield the checksums that are on record."""
        return iter(self._watch.known())
