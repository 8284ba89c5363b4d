"""A batch whose notebook server is down: it is started, told of, waited for, and left when nobody wants it any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from stager.errors import Cancelled, NotebookNotStarted, NotebookStarting, PeerBusy
from stager.peers.jupyter import Hub, HubConnection, stop
from stager.runs.batch import Batch, BatchFailed
from tests.methods.notebook_runs import STEPS, Runs
from tests.patience import PATIENCE
from tests.peers.conftest import wait_until
from tests.peers.faulty_proxy import FaultyProxy, answered
from tests.peers.running_hub import RunningHub

pytestmark = [pytest.mark.any_database, pytest.mark.hub]
FIRST_STEPS = ("check source", "check duplicate")


@pytest.fixture
def at_server_of(runs: Runs) -> Callable[..., Runs]:
    """Return what gives runs to another user's server, by a hub that the operator has set up otherwise."""

    def at(username: str, **connection: object) -> Runs:
        return replace(runs, whose=username, connection=runs.connection.model_copy(update=connection))

    return at


@contextmanager
def asked(connection: HubConnection) -> Iterator[Hub]:
    with connection.opened() as hub:
        yield hub


def done_beside(batch: Batch, *steps: str) -> threading.Thread:
    """Do some steps in a thread of their own."""

    def do() -> None:
        with batch:
            Runs.do(batch, *steps)

    thread = threading.Thread(target=do)
    thread.start()
    return thread


def details(runs: Runs, batch: Batch) -> list[str]:
    return [event.detail for event in runs.events(batch, "starting")]


def test_a_start_is_told_as_it_goes_on_and_then_the_items_arrive(
    at_server_of: Callable[..., Runs], running_hub: RunningHub
) -> None:
    runs = at_server_of("held-batch")
    batch = runs.batch("a.fits", "b.fits")
    doing = done_beside(batch, *STEPS)
    title = "The notebook server of held-batch is starting"
    wait_until(lambda: f"{title}: Waiting for a machine (40 %)" in details(runs, batch))
    running_hub.release("held-batch")
    doing.join(PATIENCE)
    told = details(runs, batch)
    assert told[0] == title
    assert len(set(told)) == len(told)
    assert {event.cause for event in runs.events(batch, "starting")} == {"NotebookStarting"}
    assert [event.cause for event in runs.events(batch, "waited")] == ["Working"]
    assert [entry.published is not None for entry in batch.entries] == [True, True]


@pytest.mark.parametrize("stops_servers", [False, True])
def test_who_cancels_during_a_start_does_not_wait_for_it(
    at_server_of: Callable[..., Runs], *, stops_servers: bool
) -> None:
    runs = at_server_of("held-long", stops_servers=stops_servers, start_seconds=2 * PATIENCE)
    batch = runs.batch("a.fits", "b.fits")
    doing = done_beside(batch, *FIRST_STEPS)
    wait_until(lambda: len(runs.events(batch, "starting")) > 1)
    batch.entries[0].stopped.because(Cancelled())
    time.sleep(1)
    assert doing.is_alive()  # the other item still wants it
    batch.entries[1].stopped.because(Cancelled())
    doing.join(PATIENCE)
    assert not doing.is_alive()
    assert [type(entry.error) for entry in batch.entries] == [Cancelled, Cancelled]
    with asked(runs.connection) as hub:
        assert hub.look("held-long").pending == (None if stops_servers else "spawn")
        stop(hub, "held-long", within_seconds=PATIENCE)


@pytest.mark.parametrize("username", ["failing", "vanishing"])
def test_a_server_that_cannot_be_started_is_started_once_for_all_items(
    at_server_of: Callable[..., Runs], username: str
) -> None:
    runs = at_server_of(username)
    batch = runs.batch("a.fits", "b.fits", "c.fits")
    with batch:
        runs.do(batch, "check source")
        with pytest.raises(BatchFailed):
            runs.do(batch, "check duplicate", retry_in=0.1)
    assert [type(entry.error) for entry in batch.entries] == [NotebookNotStarted] * 3
    title = f"The notebook server of {username} is starting"
    assert details(runs, batch).count(title) == 1


def test_a_start_that_takes_longer_than_is_waited_goes_on_and_is_taken_by_the_next_try(
    at_server_of: Callable[..., Runs], running_hub: RunningHub
) -> None:
    runs = at_server_of("held.again", start_seconds=1)
    batch = runs.batch("a.fits")
    with batch:
        runs.do(batch, "check source")
        with pytest.raises(NotebookStarting):
            runs.do(batch, "check duplicate", retry_in=0.1)
        running_hub.release("held.again")
        with asked(runs.connection) as hub:
            wait_until(lambda: hub.look("held.again").is_ready)
        runs.do(batch, *list(STEPS)[1:])
    assert [event.cause for event in runs.events(batch, "retrying")] == ["NotebookStarting"]
    assert batch.entries[0].published is not None


def test_a_hub_that_starts_no_more_for_now_is_asked_when_it_says(
    at_server_of: Callable[..., Runs], proxy: FaultyProxy, running_hub: RunningHub
) -> None:
    runs = at_server_of("alice", url=proxy.in_front_of(running_hub.url))
    batch = runs.batch("a.fits")
    with batch:
        runs.do(batch, "check source")
        proxy.break_calls("start", answered("429 Too Many Requests", b"{}", "application/json", "Retry-After: 3\r\n"))
        with pytest.raises(PeerBusy):
            runs.do(batch, "check duplicate", retry_in=0.01)
        refused = time.monotonic()
        runs.do(batch, "check duplicate")
        assert time.monotonic() - refused > 2
    assert batch.entries[0].error is None


def test_for_a_source_that_is_not_there_no_server_is_started(at_server_of: Callable[..., Runs]) -> None:
    runs = at_server_of("nobody-started-me")
    batch = runs.batch("a.fits", source="nothing.fits")
    with batch, pytest.raises(BatchFailed):
        runs.do(batch, "check source")
    with asked(runs.connection) as hub:
        state = hub.look("nobody-started-me")
    assert (state.is_ready, state.pending) == (False, None)
