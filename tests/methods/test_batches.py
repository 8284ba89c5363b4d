"""A batch of a real run's, with its records and leases, whose items go to a notebook server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest
from pydantic import SecretStr

from stager.errors import PeerBusy
from stager.identity import Identity
from stager.methods.jupyter_copy import JupyterCopy
from stager.methods.notebook_staged import temporary_name
from stager.models import StagingItem, StagingRequest, Status
from stager.peers.jupyter import HubConnection
from stager.records.database import Database
from stager.records.events import events_of
from stager.records.items import destination_key, files_of
from stager.records.leases import acquire_leases, release_leases
from stager.records.migrate import migrate
from stager.records.requests import create_request
from stager.runs.batch import Batch
from stager.runs.become_user import ActingUser
from stager.runs.destinations import LeaseHolder
from stager.runs.entry import Entry
from stager.runs.following import Comparing, Following, Publishing, Transferring
from stager.runs.stop import Stop
from tests.methods.staging_site import ALICE, IS_ROOT, Site
from tests.methods.test_jupyter_copy import place_of
from tests.peers.faulty_proxy import FaultyProxy, answered
from tests.peers.running_hub import RunningHub

pytestmark = pytest.mark.any_database
STEPS: dict[str, Callable[[Entry, LeaseHolder], Following]] = {
    "check source": lambda entry, _: Following(entry),
    "check duplicate": Comparing,
    "transfer": Transferring,
    "set read-only": lambda entry, _: Following(entry),
    "publish": Publishing,
}


@dataclass(frozen=True)
class Runs:
    """Runs of Alice's to her notebook server, and their records."""

    database: Database
    site: Site
    connection: HubConnection
    acting: ActingUser

    def batch(self, *destinations: str, holder: str = "this run") -> Batch:
        """Return a batch of new items, which all have the same source."""
        items = tuple(StagingItem(source="a.fits", destination=one) for one in destinations)
        row = create_request(self.database, StagingRequest(method="jupyter_copy", username="alice", items=items))
        entries = []
        for file in files_of(self.database, row.id):
            item = self.site.item(destination=file.relative_path)
            file.destination_key = destination_key(item.destination)
            entries.append(Entry(file=file, item=item, place=item.destination.key, stopped=Stop()))
        writer = LeaseHolder(database=self.database, holder=holder, lease=600)
        return Batch(
            method=JupyterCopy(), entries=entries, writer=writer, acting=self.acting, connection=self.connection
        )

    def do(self, batch: Batch, *steps: str) -> None:
        for step in steps:
            batch.each(step, lambda entry, follow=STEPS[step]: follow(entry, batch.writer), retry_in=None)  # type: ignore[misc]


@pytest.fixture
def runs(database_url: str, notebook: Site, running_hub: RunningHub) -> Iterator[Runs]:
    migrate(database_url)
    database = Database(database_url, patience=20)
    ids = {"uid": ALICE.uid, "gid": ALICE.gid, "groups": ALICE.groups}
    acting = ActingUser(Identity(username="alice", acting_as="alice", owns_files=IS_ROOT, **ids))  # type: ignore[arg-type]
    connection = HubConnection(url=running_hub.url, token=SecretStr(running_hub.tokens["staging"]))
    yield Runs(database, notebook, connection, acting)
    acting.close()
    database.close()


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
    with runs.batch("data/mine"):
        assert runs.site.peer.files() == [f"data/{kept}"]
    release_leases(runs.database, holder="another run")
    with runs.batch("data/mine"):
        assert runs.site.peer.files() == []


def test_what_could_not_be_made_read_only_is_on_record(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stager.methods.jupyter_copy.seal", lambda *_, **__: "the notebook server has no Python kernel")
    batch = runs.batch("data/a.fits")
    with batch:
        runs.do(batch, *STEPS)
    events = events_of(runs.database, batch.entries[0].file.request_id)
    said = "data/a.fits can be written still: the notebook server has no Python kernel"
    assert [event.detail for event in events if event.kind == "left_writable"] == [said]


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
