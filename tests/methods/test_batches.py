"""A batch of a real run's, with its records and leases, whose items go to a notebook server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace

import pytest

from stager.engine import StopSignal
from stager.errors import Cancelled, PeerBusy
from stager.methods.notebook_staged import temporary_name
from stager.models import Status
from stager.peers.jupyter import HubConnection
from stager.records.events import events_of
from stager.records.items import files_of
from stager.records.leases import acquire_leases, release_leases, renew_leases
from stager.records.shared_limits import take_slot
from stager.runs.batch import Batch, BatchFailed
from stager.runs.following import Transferring
from stager.runs.limited_transfers import ServerLimits
from tests.methods.conftest import acting_as_alice
from tests.methods.notebook_runs import STEPS, Runs
from tests.methods.staging_site import CONTENT
from tests.methods.test_jupyter_copy import place_of
from tests.patience import PATIENCE
from tests.peers.conftest import wait_until
from tests.peers.faulty_proxy import FaultyProxy, answered

pytestmark = pytest.mark.any_database


@pytest.fixture
def two_runs(runs: Runs) -> Iterator[list[Runs]]:
    """Two that go on at once, each with a mover of its own."""
    with closing(acting_as_alice()) as acting:
        yield [runs, replace(runs, acting=acting)]


def test_the_items_of_a_batch_arrive_and_are_on_record(runs: Runs) -> None:
    names = [f"data/{number}" for number in range(6)]
    batch = runs.batch(*names)
    with batch:
        runs.do(batch, *STEPS)
    assert runs.site.peer.files() == names
    files = files_of(runs.database, batch.entries[0].file.request_id)
    assert {file.status for file in files} == {Status.COMPLETED}
    assert {file.checksum_algorithm for file in files} == {"sha256"}
    again = runs.batch(*names)
    with again:
        runs.do(again, "check source", "check duplicate")
    assert all(entry.is_duplicate for entry in again.entries)


def test_one_that_fails_stops_no_other_and_leaves_nothing(runs: Runs) -> None:
    runs.site.peer.put("data/taken")
    batch = runs.batch("data/taken", "data/free")
    with batch:
        runs.do(batch, *STEPS)
    assert [type(entry.error).__name__ for entry in batch.entries] == ["DestinationDiffers", "NoneType"]
    assert runs.site.peer.files() == ["data/free", "data/taken"]


def test_what_a_living_run_is_at_is_not_swept_by_another_and_what_a_dead_one_was_is(runs: Runs) -> None:
    living, dead = (runs.site.item(destination=f"data/{name}") for name in ("living", "dead"))
    other = runs.batch("data/living", holder="another run")
    acquire_leases(runs.database, [other.entries[0].file], holder="another run", seconds=600)
    kept = temporary_name(place_of(living))
    for name in (kept, temporary_name(place_of(dead))):
        runs.site.peer.put(f"data/{name}")
    batch = runs.batch("data/mine")
    with batch:
        runs.do(batch, "check source", "check duplicate")
        assert runs.site.peer.files() == [f"data/{kept}"]
    release_leases(runs.database, holder="another run")
    batch = runs.batch("data/mine again")
    with batch:
        runs.do(batch, "check source", "check duplicate")
        assert runs.site.peer.files() == []


def test_what_could_not_be_made_read_only_is_on_record(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stager.methods.jupyter_copy.seal", lambda *_, **__: "the notebook server has no Python kernel")
    batch = runs.batch("data/a.fits")
    with batch:
        runs.do(batch, *STEPS)
    [file] = files_of(runs.database, batch.entries[0].file.request_id)
    assert (file.status, file.left_writable) == (Status.COMPLETED, "the notebook server has no Python kernel")


def test_a_server_that_wants_to_be_asked_later_is_asked_no_sooner(runs: Runs, proxy: FaultyProxy) -> None:
    url = proxy.in_front_of(runs.connection.url)
    through = Runs(runs.database, runs.site, HubConnection(url=url, token=runs.connection.token), runs.acting)
    batch = through.batch("data/a.fits")
    with batch:
        through.do(batch, "check source", "check duplicate")
        proxy.break_calls("chunk", answered("429 Too Many Requests", b"{}", "application/json", "Retry-After: 3\r\n"))
        with pytest.raises(PeerBusy):
            batch.each("transfer", lambda entry: Transferring(entry, batch.writer), retry_in=0.01)
        refused = time.monotonic()
        through.do(batch, "transfer")
        assert time.monotonic() - refused > 2
        through.do(batch, "set read-only", "publish")
    assert runs.site.peer.files() == ["data/a.fits"]


ONE_AT_ONCE = ServerLimits(server="The notebook hub", transfers=1, bytes_per_second=0)


def waits(runs: Runs, batch: Batch) -> list[tuple[str, str | None]]:
    events = events_of(runs.database, batch.entries[0].file.request_id)
    return [(event.kind, event.cause) for event in events if event.kind in {"waiting", "waited"}]


def staged_at_once(two_runs: list[Runs], limits: ServerLimits, transferring: type[Transferring] = Transferring) -> None:
    """Have two runs stage three files each, at once."""

    def stage(number: int) -> None:
        runs = two_runs[number]
        batch = runs.batch(*(f"{number}/{name}" for name in "abc"), holder=f"run {number}", limits=limits)
        with batch:
            runs.do(batch, "check source", "check duplicate")
            batch.each("transfer", lambda entry: transferring(entry, batch.writer, batch.limited), retry_in=None)
            runs.do(batch, "set read-only", "publish")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(stage, range(2)))
    assert len(two_runs[0].site.peer.files()) == 6


def test_a_hub_gets_no_more_transfers_at_once_than_its_operator_allows(two_runs: list[Runs]) -> None:
    under_way, most = [0], [0]
    counting = threading.Lock()

    class Counted(Transferring):
        def _admitted(self, is_left: StopSignal) -> AbstractContextManager[None]:
            return self._counted(super()._admitted(is_left))

        @contextmanager
        def _counted(self, slot: AbstractContextManager[None]) -> Iterator[None]:
            with slot:
                with counting:
                    under_way[0] += 1
                    most[0] = max(most[0], under_way[0])
                yield
                under_way[0] -= 1

    staged_at_once(two_runs, ONE_AT_ONCE, Counted)
    assert most == [1]


def test_a_request_that_waits_for_its_turn_at_a_hub_says_so_until_who_was_killed_counts_no_more(runs: Runs) -> None:
    batch = runs.batch("data/a.fits", "data/b.fits", limits=ONE_AT_ONCE)
    slot = {"slots": 1, "request_id": "r", "holder": "killed"}
    assert take_slot(runs.database, ONE_AT_ONCE.server, seconds=PATIENCE, **slot)  # type: ignore[arg-type]
    with ThreadPoolExecutor(1) as pool, batch:
        runs.do(batch, "check source", "check duplicate")
        done = pool.submit(runs.do, batch, "transfer")
        wait_until(lambda: waits(runs, batch) == [("waiting", "LimitReached")])
        assert runs.site.peer.files() == []
        renew_leases(runs.database, holder="killed", seconds=0)
        done.result()
        runs.do(batch, "set read-only", "publish")
    assert waits(runs, batch) == [("waiting", "LimitReached"), ("waited", "Working")]
    assert runs.site.peer.files() == ["data/a.fits", "data/b.fits"]


def test_an_item_that_is_cancelled_waits_no_more(runs: Runs) -> None:
    batch = runs.batch("data/a.fits", limits=ONE_AT_ONCE)
    assert take_slot(runs.database, ONE_AT_ONCE.server, slots=1, request_id="r", holder="another", seconds=PATIENCE)
    with ThreadPoolExecutor(1) as pool, batch:
        runs.do(batch, "check source", "check duplicate")
        done = pool.submit(runs.do, batch, "transfer")
        wait_until(lambda: bool(waits(runs, batch)))
        batch.entries[0].stopped.because(Cancelled())
        with pytest.raises(BatchFailed):
            done.result()
    [file] = files_of(runs.database, batch.entries[0].file.request_id)
    assert file.status is Status.CANCELLED


def test_all_transfers_to_a_hub_are_together_no_faster_than_its_operator_allows(two_runs: list[Runs]) -> None:
    began = time.monotonic()
    staged_at_once(two_runs, ServerLimits(server="The hub", transfers=8, bytes_per_second=len(CONTENT)))
    assert time.monotonic() - began >= 6  # each file is a second's worth
