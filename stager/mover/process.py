"""The process of a mover: it becomes its user, then carries out orders, item by item.

All that it needs is imported before it changes its user: Python's own folder
may be closed to them.
"""

from __future__ import annotations

import errno
import os
import resource
import socket
import threading
import time
import traceback
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from stager.engine import expanded
from stager.engine.source import folder_of
from stager.errors import MoverNotStarted, StagingError, UnforeseenError, readable
from stager.methods import MOUNTED_METHODS, ConnectedMethod, SymlinkCopy
from stager.mover.channel import Channel, ConnectionLost, Message
from stager.mover.dialogue import PAGE_ITEMS, TOLD_AT_ONCE, Dialogue, StopOrders
from stager.mover.item_messages import place, readable_source, source_of, understood
from stager.mover.lending import Lending
from stager.mover.steps import STEPS, ItemsAtWork
from stager.paths import Descriptor, folders_kept
from stager.privileges import Ids, become

# What came of a step of some items, by their ids: what there is to tell beside that it is done, or why it is not.
Outcomes = Mapping[int, dict[str, Any] | StagingError]
# Seconds after which a mover that sent nothing else sends a heartbeat.
ALIVE_EVERY = 1.0
# Seconds that a step that is done is kept until others are.
PAGE_SECONDS = 0.2
# Items that get their names after one confirmation of their leases, which holds for a time.
PUBLISHED_AT_ONCE = 256

readable("\xa0")  # the codec of an escape is imported by its first use


def serve(end: socket.socket) -> None:
    """Carry out orders until the service closes its end; discard what was not published by then."""
    channel = Channel(end)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # stager/runs/batch_size.py
    try:
        worker = _introduced(channel)
        if worker is not None:
            threading.Thread(target=_say_that_it_lives, args=(channel,), daemon=True).start()
            worker.work()
    except ConnectionLost:
        """The service is gone: nobody is left to report to."""


def _introduced(channel: Channel) -> OrderExecutor | None:
    """Become the user and report that; return None where that is not possible."""
    hello = channel.receive(None) or {}
    roots = [Path(root) for root in hello["roots"]]
    held = dict(zip(roots, channel.descriptors(len(roots)), strict=True))
    with Descriptor(os.pidfd_open(os.getpid())) as life:
        try:
            if hello["account"] is not None:
                become(Ids(*hello["account"]))
        except OSError as error:
            channel.send(_failure(0, MoverNotStarted(hello["name"], error.strerror or str(error))))
            return None
        os.umask(0)  # each mode is given as it is to be
        channel.send({"says": "done", "id": 0}, [life.fd])
    return OrderExecutor(channel, held, is_user=hello["account"] is not None)


def _say_that_it_lives(channel: Channel) -> None:
    while True:
        time.sleep(ALIVE_EVERY)
        if time.monotonic() - channel.sent_at >= ALIVE_EVERY:
            try:
                channel.send({"says": "alive"})
            except ConnectionLost:
                return


class OrderExecutor:
    """Carries out orders, one after the other.

    Parameters
    ----------
    roots
        Those that are open already.
    is_user
        Whether it became somebody else: then it cannot link what it may not write, and the service does.
    """

    def __init__(self, channel: Channel, roots: dict[Path, Descriptor], *, is_user: bool) -> None:
        self._channel = channel
        self._roots = roots
        self._methods: Mapping[str, ConnectedMethod] = MOUNTED_METHODS
        if is_user:
            self._methods = {**MOUNTED_METHODS, SymlinkCopy.name: SymlinkCopy(link=self._link)}
        self._batch: ItemsAtWork | None = None
        self._lending = Lending(folder_of)
        self._dialogue: Dialogue | None = None
        self._stops = StopOrders(channel)
        # The items for which the step that is under way is done, and of which there is nothing to tell.
        self._done: list[int] = []
        # What else there is to tell, of those of which it is little.
        self._page: list[dict[str, Any]] = []
        self._page_begun = 0.0

    def work(self) -> None:
        """Carry out orders until the service is gone."""
        try:
            while (order := self._channel.receive(None)) is not None:
                if "stop" in order:
                    self._stops.add(order["stop"])
                else:
                    self._do(order)
                    if order["do"] != "take":
                        self._report_end()
        finally:
            self._end()

    def _report_end(self) -> None:
        self._report_done()
        self._channel.send({"says": "over"})

    def _report_done(self) -> None:
        if self._page:
            self._channel.post({"says": "several", "done": self._page})
            self._page = []
        if self._done:
            first, *also = self._done
            self._channel.post({"says": "done", "id": first, "also": also})
            self._done.clear()

    def _do(self, order: Message) -> None:
        self._stops.clear()  # of what was asked for before
        match order["do"]:
            case "begin":
                self._end()
                self._batch = ItemsAtWork(self._methods[order["method"]], {})
            case "take":
                said = order["items"].items()
                self._current().take({int(one): understood(it, self._roots, lender=self) for one, it in said})
            case "end":
                self._end()
            case "sweep":
                self._sweep_all(order["method"], order["places"])
            case "flush":
                self._together(order["items"], self._flush)
            case "publish":
                self._publish_all(order["items"])
            case "expand":
                self._expand(order)
            case "lend from" | "lend":
                self._lend(order)
            case step:
                with folders_kept():
                    for item_id in order["items"]:
                        self._step(step, item_id)

    def _end(self) -> None:
        self._lending.begin({})
        batch, self._batch = self._batch, None
        if batch is not None:
            batch.discard()

    def _sweep_all(self, method: str, places: list[list[str]]) -> None:
        for number, said in enumerate(places):
            self._tell(number, partial(self._sweep, method, said))

    def _sweep(self, method: str, said: list[str]) -> dict[str, Any]:
        return {"swept": self._methods[method].sweep(place(said, self._roots), living=_all)}

    def _together(self, item_ids: list[int], work: Callable[[list[int]], Outcomes]) -> None:
        """Do something for all items at once, and report what came of each: an error that is raised is that of all."""
        outcomes: Outcomes
        trace = ""
        try:
            outcomes = work(item_ids)
        except ConnectionLost:
            raise
        except StagingError as error:
            outcomes = dict.fromkeys(item_ids, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is theirs alone
            outcomes, trace = dict.fromkeys(item_ids, UnforeseenError(error)), traceback.format_exc()
        for item_id, outcome in outcomes.items():
            if isinstance(outcome, StagingError):
                self._channel.post(_failure(item_id, outcome, trace))
            else:
                self._note(item_id, outcome)
        self._report_done()

    def _flush(self, item_ids: list[int]) -> Outcomes:
        self._current().flush(item_ids)
        return {item_id: {} for item_id in item_ids}

    def _publish_all(self, item_ids: list[int]) -> None:
        for start in range(0, len(item_ids), PUBLISHED_AT_ONCE):
            self._together(item_ids[start : start + PUBLISHED_AT_ONCE], self._publish)

    def _publish(self, item_ids: list[int]) -> Outcomes:
        dialogue = self._dialogue_about(item_ids[0])
        return {
            item_id: outcome if isinstance(outcome, StagingError) else {"delivered": vars(outcome)}
            for item_id, outcome in self._current().publish(item_ids, dialogue.refuse).items()
        }

    def _lend(self, order: Message) -> None:
        if order["do"] == "lend from":
            self._lending.begin({int(one): source_of(said, self._roots) for one, said in order["sources"].items()})
        else:
            self._lend_one(order["item"], order["what"], order["folder"], order["name"])

    def _lend_one(self, item_id: int, what: str, folder: int, name: str) -> None:
        """Look at, open or take back what is in an item's source, and tell what came of it."""
        lending, opened = self._lending, Descriptor(-1)
        shown: dict[str, Any] = {}
        try:
            match what:
                case "status":
                    shown["status"] = lending.status(item_id, folder, name)
                case "link text":
                    shown["text"] = lending.link_text(item_id, folder, name)
                case "open":
                    opened, shown["folder"] = lending.opened(item_id, folder, name)
                case _:
                    lending.returned(item_id, folder)
        except OSError as error:
            shown["errno"] = error.errno or errno.EIO
        except StagingError as error:
            self._channel.post(_failure(item_id, error))
            return
        with opened:
            descriptors = [opened.fd] if opened.fd >= 0 else []
            self._channel.send({"says": "done", "id": item_id, "shown": shown}, descriptors)

    def _expand(self, order: Message) -> None:
        item_id = order["item"]
        self._dialogue = dialogue = self._dialogue_about(item_id)
        folder = readable_source(order["folder"], self._roots, read_as=order["read_as"], lender=self)

        def work() -> dict[str, Any]:
            try:
                for found in expanded(folder, order["pattern"], control=dialogue.control(), after=order["after"]):
                    dialogue.on_found(found)
            except StagingError:
                dialogue.report()
                raise
            return dialogue.unreported()

        self._tell(item_id, work)

    def _step(self, step: str, item_id: int) -> None:
        self._dialogue = dialogue = self._dialogue_about(item_id)
        self._tell(item_id, lambda: {**STEPS[step](self._current(), item_id, dialogue), **dialogue.unreported()})

    def _dialogue_about(self, item_id: int) -> Dialogue:
        return Dialogue(self._channel, item_id, self._stops, before=self._report_done)

    def _tell(self, item_id: int, work: Callable[[], dict[str, Any]]) -> None:
        """Do something for an item, and report the result."""
        try:
            done = work()
        except StagingError as error:
            self._channel.post(_failure(item_id, error))
        except ConnectionLost:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this item's alone
            self._channel.post(_failure(item_id, UnforeseenError(error), traceback.format_exc()))
        else:
            self._note(item_id, done)

    def _note(self, item_id: int, done: Mapping[str, Any]) -> None:
        """Report that a step is done: with others, where there is little or nothing to tell of the item."""
        said = {"says": "done", "id": item_id, **done}
        if len(done.get("files", ())) + len(done.get("found", ())) > 1:
            self._channel.post(said)
        elif done:
            if not self._page:
                self._page_begun = time.monotonic()
            self._page.append(said)
        else:
            self._done.append(item_id)
        is_old = self._page and time.monotonic() - self._page_begun > PAGE_SECONDS
        if is_old or len(self._done) >= TOLD_AT_ONCE or len(self._page) >= PAGE_ITEMS:
            self._report_done()

    def _current(self) -> ItemsAtWork:
        if self._batch is None:
            raise ConnectionLost
        return self._batch

    def _link(self, source: int, folder: int, name: bytes) -> None:
        self._item.link(source, folder, name)

    @property
    def _item(self) -> Dialogue:
        """The item that is under way."""
        if self._dialogue is None:
            raise ConnectionLost
        return self._dialogue

    def status(self, folder: int, name: str) -> os.stat_result:
        """Return the status of a name in a lent folder."""
        return self._item.status(folder, name)

    def link_text(self, folder: int, name: str) -> str:
        """Return the text of a symbolic link in a lent folder."""
        return self._item.link_text(folder, name)

    def opened(self, folder: int, name: str) -> tuple[int, int]:
        """Open a name in a lent folder."""
        return self._item.opened(folder, name)

    def returned(self, folder: int) -> None:
        """Give a folder back."""
        self._item.returned(folder)


def _all(beginnings: Collection[str]) -> Collection[str]:
    return beginnings


def _failure(item_id: int, error: StagingError, trace: str = "") -> dict[str, Any]:
    return {"says": "failed", "id": item_id, "type": type(error).__name__, "message": error.message, "trace": trace}
