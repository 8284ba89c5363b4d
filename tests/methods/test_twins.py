"""Two processes of one run, and the user's own secret, which one of them has at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from stager.errors import Cancelled, SecretInUse
from stager.methods.jupyter_copy import JupyterCopy
from stager.models import StagingItem, StagingRequest
from stager.peers.jupyter import HubConnection
from stager.records.items import destination_key, files_of
from stager.records.request_secrets import hand_out_secret
from stager.records.requests import create_request, start_requests
from stager.runs.batch import Batch
from stager.runs.destinations import LeaseHolder
from stager.runs.entry import Entry
from stager.runs.stop import Stop
from stager.user_secrets import SecretKeys
from tests.methods.notebook_runs import STEPS, Runs
from tests.patience import PATIENCE

pytestmark = pytest.mark.any_database
KEYS = SecretKeys(SecretStr(Fernet.generate_key().decode()))
RUN = "run"


class Twins:
    """A run whose request came with a secret; each of its two items is a batch."""

    def __init__(self, runs: Runs) -> None:
        self.runs = runs
        items = tuple(StagingItem(source="a.fits", destination=f"data/{one}") for one in range(2))
        asked = StagingRequest(method="jupyter_copy", username="alice", items=items)
        token = runs.connection.token
        assert token is not None
        self.request_id = create_request(runs.database, asked, secret=KEYS.take(token)).id
        start_requests(runs.database, [self.request_id], flow_run_id=RUN, acting_as="alice")
        self.refused = threading.Event()

    def batch(self, position: int, process: str) -> Batch:
        file, database = files_of(self.runs.database, self.request_id)[position], self.runs.database
        item = self.runs.site.item(destination=file.relative_path)
        file.destination_key = destination_key(item.destination)
        return Batch(
            method=JupyterCopy(),
            entries=[Entry(file=file, item=item, place=item.destination.key, stopped=Stop())],
            writer=LeaseHolder(database=database, holder=process, lease=600),
            acting=self.runs.acting,
            connection=HubConnection(url=self.runs.connection.url),
            secret=lambda: self.secret(process),
        )

    def secret(self, process: str) -> SecretStr:
        try:
            return hand_out_secret(self.runs.database, self.request_id, holder=process, flow_run_id=RUN, keys=KEYS)
        except SecretInUse:
            self.refused.set()
            raise

    def stage(self, batch: Batch) -> None:
        with batch:
            self.runs.do(batch, *STEPS)

    def stage_beside(self, batch: Batch, then: Callable[[], None]) -> None:
        """Stage by another process; do something as soon as that is refused the secret."""
        beside = threading.Thread(target=self.stage, args=[batch])
        beside.start()
        assert self.refused.wait(PATIENCE)
        then()
        beside.join(PATIENCE)


@pytest.fixture
def twins(runs: Runs) -> Twins:
    return Twins(runs)


def test_a_process_whose_twin_has_ended_its_items_keeps_nobody_from_the_secret(twins: Twins) -> None:
    twins.stage(twins.batch(0, "one"))
    second = twins.batch(1, "one")
    with twins.batch(0, "two"):
        twins.stage(second)
    assert [entry.error for entry in second.entries] == [None]
    assert twins.runs.site.peer.files() == ["data/0", "data/1"]


def test_a_process_waits_until_its_twin_has_done_with_the_secret(twins: Twins) -> None:
    first, second = twins.batch(0, "two"), twins.batch(1, "one")

    def go_on() -> None:
        twins.runs.do(first, *STEPS)
        first.__exit__(None, None, None)

    first.__enter__()
    twins.stage_beside(second, go_on)
    assert [entry.error for entry in (*first.entries, *second.entries)] == [None, None]
    assert twins.runs.site.peer.files() == ["data/0", "data/1"]


def test_a_process_that_waits_for_the_secret_can_be_cancelled(twins: Twins) -> None:
    second = twins.batch(1, "one")
    with twins.batch(0, "two"):
        twins.stage_beside(second, lambda: second.entries[0].stopped.because(Cancelled()))
    assert [type(entry.error) for entry in second.entries] == [Cancelled]
