"""The service's side of a mover: it gives orders, answers questions, waits with a limit, and ends the mover."""

from __future__ import annotations

import logging
import select
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Literal

from stager.engine import Found, Refuse, StopSignal
from stager.errors import MoverLost, StagingError
from stager.methods import Item, mounted
from stager.mover.answers import Answers, Watch, Watched
from stager.mover.channel import Channel, ConnectionLost, Message
from stager.mover.findings import Findings
from stager.mover.item_messages import told, told_place, told_source
from stager.mover.replies import (
    Heartbeat,
    OrderDone,
    Question,
    Reply,
    Report,
    Several,
    Shown,
    StepDone,
    StepFailed,
    reply_in,
)
from stager.paths import Descriptor, Location, Place

logger = logging.getLogger(__name__)

# Seconds between two checks of what is to be stopped.
STOP_POLL_SECONDS = 0.2
# Folders, and items, in one message at most.
SWEPT_AT_ONCE = 256
ITEMS_IN_A_MESSAGE = 256
LEFT = "was not waited for any more"
UNFINISHED = "did not report what became of its items"
# How long a mover may take to discard what is unfinished, in seconds.
DISCARD_SECONDS = 10.0


@dataclass(kw_only=True, eq=False)
class Mover:
    """The process that is the user.

    Parameters
    ----------
    name
        Whom it acts for, for messages.
    life
        Its pidfd.
    silence
        How long it may say nothing, in seconds.
    """

    name: str
    channel: Channel
    life: Descriptor
    silence: float
    answers: Answers
    _is_closed: bool = False
    _lost_by: str = ""
    _is_busy: bool = False
    _next_look: float = 0.0
    _lending: threading.Lock = field(default_factory=threading.Lock)

    @property
    def is_lost(self) -> bool:
        """Whether it has ended, or was ended."""
        return self._is_closed or _has_ended(self.life, 0)

    def begin(self, method: str, items: Mapping[int, Item]) -> None:
        """Send the items, by ids of the caller's; they replace those sent before.

        A message holds some of them. That these are taken is not waited for: the first step is answered after that.
        """
        self.answers.begin(items)
        list(self._carried_out({"do": "begin", "method": method}, {}))
        every = list(items.items())
        for start in range(0, len(every), ITEMS_IN_A_MESSAGE):
            said = {str(item_id): told(item) for item_id, item in every[start : start + ITEMS_IN_A_MESSAGE]}
            try:
                self.channel.send({"do": "take", "items": said})
            except ConnectionLost as gone:
                raise self._lost(gone) from gone

    def do(
        self, step: str, watches: Mapping[int, Watch], *, refuse: Refuse = lambda _: {}
    ) -> Iterator[tuple[int, StepDone | StagingError]]:
        """Do a step for some items, and yield the result of each, in any order.

        It is done only once all results were taken. If the mover is lost, that is the error of all items that are left.

        Parameters
        ----------
        refuse
            Called right before destinations get their names; tells why some must not.
        """
        return self._carried_out({"do": step, "items": list(watches)}, watches, refuse)

    def expand(
        self,
        item_id: int,
        folder: Location,
        pattern: Sequence[str],
        *,
        after: str,
        read_as: Literal["user", "service"],
        watch: Watch,
    ) -> None:
        """Find what is beneath a folder and fits a pattern, as `engine.expanded` does, and tell it to a watch.

        Parameters
        ----------
        read_as
            Whose rights the folder is read with, as `Item` has it.

        Raises
        ------
        StagingError
            As `engine.expanded`, as the watch, or the mover is lost.
        """
        self.answers.lend({item_id: folder} if read_as == "service" else {})
        said = {"folder": told_source(folder), "pattern": pattern, "after": after, "read_as": read_as}
        watch = replace(watch, on_found=Findings(pattern, after=after, taken=watch.on_found))
        [(_, outcome)] = list(self._carried_out({"do": "expand", "item": item_id, **said}, {item_id: watch}))
        if isinstance(outcome, StagingError):
            raise outcome

    def sweep(self, method: str, folders: Sequence[Place]) -> list[int | StagingError]:
        """Return how many leftovers of dead runs were removed in each folder, or the error."""
        parts = (folders[start : start + SWEPT_AT_ONCE] for start in range(0, len(folders), SWEPT_AT_ONCE))
        return [one for some in parts for one in self._swept(method, some)]

    def _swept(self, method: str, folders: Sequence[Place]) -> list[int | StagingError]:
        never = Watch(stopped=threading.Event())
        order = {"do": "sweep", "method": method, "places": [told_place(mounted(folder)) for folder in folders]}
        swept = dict(self._carried_out(order, dict.fromkeys(range(len(folders)), never)))
        return [one.swept if isinstance(one, StepDone) else one for _, one in sorted(swept.items())]

    def lend_from(self, sources: Mapping[int, Location]) -> None:
        """Let it lend these sources alone, by ids of the caller's, until it is told others or to `end`."""
        said = {str(item_id): told_source(source) for item_id, source in sources.items()}
        list(self._carried_out({"do": "lend from", "sources": said}, {}))

    def lend(self, item_id: int, what: str, *, folder: int, name: str, is_left: StopSignal) -> tuple[Shown, Descriptor]:
        """Have it look at, open or take back what is in a source that it lends; return that, and what was opened.

        Calls from several threads are carried out one after the other, while no step is under way.

        Parameters
        ----------
        is_left
            Set when it is waited for no more: then the mover is ended.

        Raises
        ------
        StagingError
            The source cannot be reached, or the mover is lost.
        """
        order = {"do": "lend", "item": item_id, "what": what, "folder": folder, "name": name}
        with self._lending:
            [(_, outcome)] = list(self._carried_out(order, {item_id: Watch(stopped=is_left)}, is_left=is_left))
            if isinstance(outcome, StagingError):
                raise outcome
            shown = outcome.shown or Shown()
            try:
                [opened] = self.channel.descriptors(1) if shown.folder is not None else [Descriptor(-1)]
            except ConnectionLost as lost:
                self._kill()
                raise MoverLost(self.name, str(lost)) from lost
        return shown, opened

    def end(self) -> None:
        """Let it discard what is not published, and forget the items."""
        if self._is_busy:
            self.close()
        elif not self._is_closed:
            with suppress(MoverLost):  # then nothing is held any more
                list(self._carried_out({"do": "end"}, {}))

    def close(self) -> None:
        """Let it discard what is not published, and end; kill it if that takes too long. Repeatable."""
        self.channel.close()
        if self.life.fd >= 0:
            _has_ended(self.life, DISCARD_SECONDS)
        self._kill()

    def _carried_out(
        self,
        order: Message,
        watches: Mapping[int, Watch],
        refuse: Refuse = lambda _: {},
        is_left: StopSignal | None = None,
    ) -> Iterator[tuple[int, StepDone | StagingError]]:
        waiting = {item_id: Watched(watch) for item_id, watch in watches.items()}
        self._is_busy = True
        try:
            self.channel.send(order)
            while not isinstance(reply := self._reply(waiting, is_left), OrderDone):
                yield from self._taken(reply, waiting, refuse)
        except ConnectionLost as gone:
            error = self._lost(gone)
            yield from ((item_id, one.error or error) for item_id, one in waiting.items())
            if not watches:
                raise error from gone
        self._is_busy = False

    def _lost(self, gone: ConnectionLost) -> MoverLost:
        """Kill it, and return the error of whatever it was to do."""
        self._kill()
        self._lost_by = self._lost_by or str(gone) or "has ended"
        return MoverLost(self.name, self._lost_by)

    def _reply(self, waiting: Mapping[int, Watched], is_left: StopSignal | None) -> Reply:
        """Return its next reply; meanwhile, tell it what is to be stopped."""
        silent = 0.0
        while True:
            line = self.channel.receive_line(STOP_POLL_SECONDS)
            if is_left is not None and is_left.is_set():
                raise ConnectionLost(LEFT)
            if time.monotonic() >= self._next_look:
                self._next_look = time.monotonic() + STOP_POLL_SECONDS
                self._tell_of_stops(waiting)
            if line is not None:
                return _expected(reply_in(line), waiting)
            silent += STOP_POLL_SECONDS  # by our own waiting: that we were not running is not its silence
            if silent > self.silence:
                silence = f"has not answered for {self.silence:.0f} s: somebody stopped it, or its machine did"
                raise ConnectionLost(silence)

    def _tell_of_stops(self, waiting: Mapping[int, Watched]) -> None:
        self._stop({item_id: one for item_id, one in waiting.items() if one.watch.stopped.is_set()})

    def _stop(self, waiting: Mapping[int, Watched]) -> None:
        """Tell it at once of all that it is to leave: it may not listen, and takes few messages then."""
        untold = [item_id for item_id, one in waiting.items() if not one.is_told]
        for item_id in untold:
            waiting[item_id].is_told = True
        if untold:
            self.channel.send({"stop": untold})

    def _taken(
        self, reply: Reply, waiting: dict[int, Watched], refuse: Refuse
    ) -> Iterator[tuple[int, StepDone | StagingError]]:
        """Handle a reply about items; yield those for which the step is done."""
        if isinstance(reply, Heartbeat | OrderDone):
            return
        if isinstance(reply, Several | StepDone):
            for done in reply.done if isinstance(reply, Several) else [reply]:
                self._note(done, waiting[done.id])
                for item_id in (done.id, *done.also):
                    yield item_id, waiting.pop(item_id).error or done
            return
        one = waiting[reply.id]
        if isinstance(reply, StepFailed):
            del waiting[reply.id]
            if reply.trace:
                logger.error("Unforeseen error of the mover of %s: %s", self.name, reply.trace)
            yield reply.id, one.error or reply.error()
        elif isinstance(reply, Question):
            self.answers.answer(reply, waiting, refuse)
        else:
            self._note(reply, one)

    def _note(self, reply: Report | StepDone, one: Watched) -> None:
        if one.error is not None:
            return
        try:
            if reply.progress is not None:
                one.watch.on_progress(*reply.progress)
            for file in reply.entries():
                one.watch.on_file(file)
            if reply.found:
                one.watch.on_found([Found(*found) for found in reply.found])
        except StagingError as error:
            one.error = error
            if isinstance(reply, Report):
                self._stop({reply.id: one})

    def _kill(self) -> None:
        """Kill it at once, also if it was stopped."""
        self._is_closed = True
        self.channel.close()
        if self.life.fd >= 0:
            with suppress(ProcessLookupError, PermissionError):  # a root without CAP_KILL: then it ends by itself
                signal.pidfd_send_signal(self.life.fd, signal.SIGKILL)
            _has_ended(self.life, DISCARD_SECONDS)
        self.life.close()


def _expected(reply: Reply, waiting: Mapping[int, Watched]) -> Reply:
    """Return a mover's reply; raise `ConnectionLost` where it is about no item of the order, or ends it too early."""
    items = _items_of(reply)
    is_too_early = isinstance(reply, OrderDone) and waiting
    if is_too_early or not waiting.keys() >= {*items} or len({*items}) < len(items):
        raise ConnectionLost(UNFINISHED)
    return reply


def _items_of(reply: Reply) -> list[int]:
    """Return the items that a reply is about."""
    if isinstance(reply, Several):
        return [item_id for done in reply.done for item_id in (done.id, *done.also)]
    if isinstance(reply, StepDone):
        return [reply.id, *reply.also]
    return [] if isinstance(reply, OrderDone | Heartbeat) else [reply.id]


def _has_ended(life: Descriptor, seconds: float) -> bool:
    """Wait until a process has ended, pidfd_open(2)."""
    poll = select.poll()
    poll.register(life.fd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
