"""Who writes: of two processes with one flow run, of two requests with one place, and while the records are away."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from stager.errors import RunLost
from stager.models import Status
from stager.paths import locate
from stager.records.events import events_of
from stager.records.items import key_of
from stager.records.leases import acquire_leases
from stager.records.runs import resubmit_requests
from tests.flows.conftest import RUN, site_of
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from tests.flows.conftest import Running, Site

pytestmark = pytest.mark.stack
C, F = Status.COMPLETED, Status.FAILED
LIFE = ["submitted", "flow_run", "started", "completed"]
# All threads of the program stop, once, when its mover has made the copy and asks whether it may publish it; none is
# in a transaction, which would keep the other program from SQLite.
STALLING = """
import os, signal, threading
from stager.mover.answers import Answers
from stager.records.database import Database
answer, write, writing = Answers.answer, Database.write, threading.Lock()
def write_alone(self, work):
    with writing:
        return write(self, work)
Database.write = write_alone
def stall_and_answer(self, asks, waiting, refuse):
    if asks.says == "refuse":
        Answers.answer = answer
        with writing:
            os.kill(os.getpid(), signal.SIGSTOP)
    answer(self, asks, waiting, refuse)
Answers.answer = stall_and_answer
"""
A_MINUTE = 60.0


def is_stopped(process: Running) -> bool:
    """Whether it stands still: what would wake it before that is lost."""
    return bool(psutil.Process(process.pid).status() == psutil.STATUS_STOPPED)


def life_of(site: Site, request_id: str) -> list[str]:
    """Return what befell a request, but for waits, which depend on who was quicker."""
    kinds = [event.kind for event in events_of(site.database, request_id)]
    return [kind for kind in kinds if kind not in {"waiting", "waited"}]


def test_two_workers_with_one_flow_run_leave_one_result(site: Site) -> None:
    names = [f"{number:03}" for number in range(300)]
    request_id = site.request(*(("a.fits", name) for name in names))
    flow_run_id = site.flow_run("local_copy", request_id)
    with (
        site.executing(RUN, "local_copy", flow_run_id) as one,
        site.executing(RUN, "local_copy", flow_run_id) as other,
    ):
        ends = [process.communicate(timeout=PATIENCE) for process in (one, other)]
    assert any(out.startswith("Completed") for out, _ in ends), ends
    assert life_of(site, request_id) == LIFE
    assert {file.status for file in site.files(request_id)} == {C}
    assert sorted(path.name for path in (site.users / "alice").iterdir()) == names


def test_a_worker_that_stalls_is_overtaken_and_publishes_nothing_when_it_wakes(site: Site) -> None:
    site.settings["STAGER_LEASE"] = "5"  # longer than a loaded machine takes from the lease to the copy
    request_id = site.request(("a.fits", "b.fits"))
    flow_run_id = site.flow_run("local_copy", request_id)
    with site.executing(STALLING + RUN, "local_copy", flow_run_id) as stalled:
        site.eventually(lambda: stalled.poll() is not None or is_stopped(stalled))
        assert stalled.poll() is None, stalled.communicate()
        with site.executing(RUN, "local_copy", flow_run_id) as other:
            assert other.communicate(timeout=PATIENCE)[0].startswith("Completed")
        published = (site.users / "alice/b.fits").stat()
        stalled.send_signal(signal.SIGCONT)
        stalled.communicate(timeout=PATIENCE)
    assert [path.name for path in (site.users / "alice").iterdir()] == ["b.fits"]
    assert (site.users / "alice/b.fits").stat() == published
    assert life_of(site, request_id) == [*LIFE[:-1], "lease_taken_over", LIFE[-1]]
    assert [file.status for file in site.files(request_id)] == [C]


@pytest.mark.parametrize("site", ["sqlite"], indirect=True)
def test_a_run_that_was_taken_for_dead_ends_nothing_of_what_waits_for_the_next_one(site: Site) -> None:
    request_id = site.request(("a.fits", "b.fits"))
    flow_run_id = site.flow_run("local_copy", request_id)
    with site.executing(STALLING + RUN, "local_copy", flow_run_id) as stalled:
        site.eventually(lambda: stalled.poll() is not None or is_stopped(stalled))
        assert stalled.poll() is None, stalled.communicate()
        resubmit_requests(site.database, flow_run_id, RunLost("its machine was away"))
        stalled.send_signal(signal.SIGCONT)
        stalled.communicate(timeout=PATIENCE)
    assert list((site.users / "alice").iterdir()) == []
    assert [file.status for file in site.files(request_id)] == [Status.SUBMITTED]
    assert site.statuses([request_id]) == [Status.SUBMITTED]
    site.run("local_copy", request_id)
    assert site.statuses([request_id]) == [C]


@pytest.mark.parametrize("site", ["sqlite"], indirect=True)
def test_a_destination_that_another_request_goes_on_writing_is_busy_and_so_is_what_is_in_it_and_around_it(
    site: Site,
) -> None:
    theirs = ("held.fits", "run1", "run2/a\n.fits")
    held = site.files(holder := site.request(*(("a.fits", place) for place in theirs)))
    places = [locate(site.users / "alice", place).key for place in theirs]
    for file, place in zip(held, places, strict=True):
        file.destination_key = key_of(place)
    named = dict(zip(map(key_of, places), places, strict=True))
    acquire_leases(site.database, held, holder="another run", seconds=600, places=named)
    request_id = site.request(*(("a.fits", place) for place in ("held.fits", "run1/sky/a.fits", "run2", "free.fits")))
    state, _ = site.run("local_copy", request_id)
    assert state.startswith("Failed: 3 of 4 items failed: "), state
    *busy, free = site.files(request_id)
    assert ({(file.status, file.error_type) for file in busy}, free.status) == ({(F, "DestinationBusy")}, C)
    said = ["", " writes run1, which it lies in,", " writes a\\n.fits in it,"]
    for file, words in zip(busy, said, strict=True):
        assert f"request {holder}{words} until" in str(file.error_reason)
    waits = [(event.kind, event.cause) for event in events_of(site.database, request_id)][3:5]
    assert waits == [("waiting", "DestinationBusy"), ("waited", "Working")]
    assert [path.name for path in (site.users / "alice").iterdir()] == ["free.fits"]


@pytest.mark.parametrize("site", ["sqlite"], indirect=True)
def test_of_two_requests_of_a_run_with_places_inside_each_other_the_second_is_told_what_is_there(site: Site) -> None:
    places = ["flat", "flat/in", "deep/in", "deep"]
    ids = [site.request(("a.fits", place)) for place in places]
    site.run("local_copy", *ids)
    assert site.statuses(ids) == [C, F, C, F]
    told = {(file.error_type, str(file.error_reason).rpartition(": ")[2]) for one in ids for file in site.files(one)}
    assert told == {
        (None, "None"),
        ("DestinationDiffers", "something on the way to it is no directory"),
        ("DestinationDiffers", "it is a directory, the source is a file"),
    }


@pytest.fixture
def site_of_a_server(own_mariadb: Any, prefect_api: str, tmp_path: Path) -> Iterator[Site]:
    """A site whose database server the test may stop."""
    with site_of(tmp_path, own_mariadb.create_database(), prefect_api) as made:
        yield made


@pytest.mark.mariadb
def test_a_database_that_is_away_for_a_minute_in_mid_run_loses_and_repeats_nothing(
    site_of_a_server: Site, own_mariadb: Any
) -> None:
    site = site_of_a_server
    names = [str(number) for number in range(2000)]
    request_id = site.request(*(("a.fits", name) for name in names))
    with site.running("local_copy", request_id) as process:
        site.eventually(lambda: site.files(request_id)[0].status is C)
        own_mariadb.stop()
        there = set((site.users / "alice").glob("[0-9]*"))
        time.sleep(A_MINUTE)
        assert process.poll() is None
        own_mariadb.start()
        said, _ = site.ended(process)  # and each try to reach the database before that
    assert said.splitlines()[-1].startswith("Completed"), said
    assert 0 < len(there) < len(names)
    assert life_of(site, request_id) == LIFE
    assert {file.status for file in site.files(request_id)} == {C}
    assert sorted(path.name for path in (site.users / "alice").iterdir()) == sorted(names)
