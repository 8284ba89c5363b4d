"""A batch of a real run's, with its records and leases, whose items go to a notebook server."""

from __future__ import annotations

import time

import httpx
import pytest

from stager.errors import PeerBusy
from stager.methods.notebook_staged import temporary_name
from stager.models import Status
from stager.peers.jupyter import HubConnection
from stager.records.items import files_of
from stager.records.leases import acquire_leases, release_leases
from stager.runs.following import Transferring
from tests.methods.notebook_runs import STEPS, Runs
from tests.methods.test_jupyter_copy import place_of
from tests.peers.faulty_proxy import FaultyProxy, answered

pytestmark = pytest.mark.any_database


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
    url = str(httpx.URL(runs.connection.url).copy_with(port=proxy.port))
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
