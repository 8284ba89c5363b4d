"""The steps of items that go to another server: done here, where its secret is, some items at a time.

A mover is its user's, and what a user's process holds is the user's: so the
secret stays in this process. What the user may read, their mover opens.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from stager.engine import Control, Refuse
from stager.errors import Cancelled, StagingError, UnforeseenError
from stager.methods import ConnectedMethod, Item, LivingAmong, OnWait
from stager.mover.answers import Watch
from stager.mover.borrowing import borrowed
from stager.mover.mover import Mover
from stager.mover.replies import StepDone
from stager.mover.steps import STEPS, ItemsAtWork
from stager.paths import Descriptor, Place
from stager.peers.connections import checked_while_waiting, given_up_after, left_once
from stager.vocabulary import ManifestEntry

logger = logging.getLogger(__name__)
# How long all that is removed may take, in seconds: the other server may be its user's, and answer as that wants.
DISCARD_SECONDS = 120.0
SWEEP_SECONDS = 300.0
# How often it is looked whether all is to be left, and how long it may go on then, in seconds, before a mover that does
# not answer is ended.
LOOK_SECONDS = 1.0
LEFT_SECONDS = 30.0
# The steps that are done with the source alone.
AT_THE_SOURCE = {"look", "check source"}
# The steps of which it is to be known whether they were done: they are waited for.
AT_ONE_MOMENT = {"publish", "remove"}


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
    living
        Tells which destinations another living run writes, by their keys.
    on_wait
        Called with what the items wait for, and with None when that is over.
    """

    def __init__(
        self,
        method: ConnectedMethod,
        mover: Mover,
        roots: Mapping[Path, Descriptor],
        *,
        living: LivingAmong,
        on_wait: OnWait = lambda _: None,
    ) -> None:
        self._method = method
        self._mover = mover
        self._roots = roots
        self._living = living
        self._on_wait = on_wait
        self._items = ItemsAtWork(method, {})
        self._places: dict[int, Place] = {}
        self._unswept: set[Place] = set()
        self._is_left = threading.Event()

    def begin(self, _: str, items: Mapping[int, Item]) -> None:
        """Take items for its method, by ids of the caller's; they replace those taken before."""
        self._discard()
        self._mover.lend_from({item_id: item.source for item_id, item in items.items() if item.read_as == "user"})
        self._items = ItemsAtWork(self._method, {item_id: self._readable(item_id, items[item_id]) for item_id in items})
        self._places = {item_id: item.destination for item_id, item in items.items()}
        self._unswept = {place.parent for place in self._places.values()}

    def _readable(self, item_id: int, item: Item) -> Item:
        return replace(
            item, source=borrowed(item, mover=self._mover, item_id=item_id, roots=self._roots, is_left=self._is_left)
        )

    def do(
        self, step: str, watches: Mapping[int, Watch], *, refuse: Refuse = lambda _: {}
    ) -> Iterator[tuple[int, StepDone | StagingError]]:
        """Do a step for some items, as many at once as the method says, and yield the result of each, in any order."""
        if step == "flush":
            self._method.flush(())
            yield from ((item_id, StepDone(says="done", id=item_id)) for item_id in watches)
            return
        try:
            if step not in AT_THE_SOURCE:
                self._reach(watches)
        except StagingError as error:
            yield from ((item_id, error) for item_id in watches)
            return
        left = threading.Event()
        going: dict[Future[StepDone | StagingError], int] = {}
        stopped_for = 0.0
        with ThreadPoolExecutor(self._method.promise.width) as pool:
            try:
                going |= {
                    pool.submit(self._done, step, item_id, _DirectDialogue(item_id, watch, left, refuse)): item_id
                    for item_id, watch in watches.items()
                }
                while going:
                    for future in wait(going, LOOK_SECONDS, return_when=FIRST_COMPLETED).done:
                        yield going.pop(future), future.result()
                    is_over = all(watches[item_id].stopped.is_set() for item_id in going.values())
                    stopped_for = stopped_for + LOOK_SECONDS if is_over else 0.0
                    if stopped_for > LEFT_SECONDS:
                        self._is_left.set()
            finally:
                left.set()
                if going:
                    self._is_left.set()
                pool.shutdown(cancel_futures=True)

    def _reach(self, watches: Mapping[int, Watch]) -> None:
        """Have the items' servers ready; sweep their folders once that is so for the first time."""

        def check() -> None:
            if all(watch.stopped.is_set() for watch in watches.values()):
                raise Cancelled

        self._method.reach([self._places[item_id] for item_id in watches], on_wait=self._on_wait, check=check)
        folders, self._unswept = self._unswept, set()
        # A folder that cannot be swept fails nothing here: the transfer of its item will say what is wrong.
        with checked_while_waiting(check):
            self.sweep("", list(folders))

    def _done(self, step: str, item_id: int, dialogue: _DirectDialogue) -> StepDone | StagingError:
        if dialogue.is_set():
            return Cancelled()
        ending = nullcontext() if step in AT_ONE_MOMENT else left_once(dialogue.is_set)
        try:
            with ending, dialogue.admitted(dialogue):
                return self._step(step, item_id, dialogue)
        except StagingError as error:
            return Cancelled() if dialogue.is_set() else error
        except Exception as error:
            logger.exception("Unforeseen error in a step")
            return UnforeseenError(error)

    def _step(self, step: str, item_id: int, dialogue: _DirectDialogue) -> StepDone | StagingError:
        if step != "publish":
            said = STEPS[step](self._items, item_id, dialogue)
        elif isinstance(outcome := self._items.publish([item_id], dialogue.refuse)[item_id], StagingError):
            return outcome
        else:
            said = {"delivered": vars(outcome)}
        return StepDone.model_validate({"says": "done", "id": item_id, **said})

    def sweep(self, _: str, folders: Sequence[Place]) -> list[int | StagingError]:
        """Return how many leftovers of dead runs were removed in each folder, or the error."""
        with given_up_after(SWEEP_SECONDS, "The other server"):
            return [self._swept(folder) for folder in folders]

    def _swept(self, folder: Place) -> int | StagingError:
        try:
            return self._method.sweep(folder, living=self._living)
        except StagingError as error:
            return error

    def end(self) -> None:
        """Discard what is not published, and forget the items."""
        self._discard()
        self._mover.end()

    def _discard(self) -> None:
        with given_up_after(DISCARD_SECONDS, "The other server"):
            self._items.discard()


class _DirectDialogue:
    """What a step tells and asks, in the thread that does it; as a signal, it is set when the item is to be left."""

    def __init__(self, item_id: int, watch: Watch, left: threading.Event, refuse: Refuse) -> None:
        self._id = item_id
        self._watch = watch
        self._left = left
        self.on_file = watch.on_file
        self.admitted = watch.admitted
        self.refuse = refuse

    def is_set(self) -> bool:
        """Return whether the item is to be left, or all are."""
        return self._watch.stopped.is_set() or self._left.is_set()

    def control(self) -> Control:
        """Return a control that reports the item's progress, and cancels it."""
        return Control(self._watch.on_progress, self)

    def confirm(self) -> None:
        """Raise why the destination is ours no more, if it is not."""
        if error := self.refuse([self._id]).get(self._id):
            raise error

    def known(self) -> Iterator[ManifestEntry]:
        """Yield the checksums that are on record."""
        return iter(self._watch.known())
