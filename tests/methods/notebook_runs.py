"""Batches of a real run's, with its records and leases, whose items go to a notebook server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from stager.methods.jupyter_copy import JupyterCopy
from stager.methods.notebook_path import NotebookPath
from stager.models import StagingItem, StagingRequest
from stager.peers.jupyter import HubConnection
from stager.records.database import Database
from stager.records.events import events_of
from stager.records.items import destination_key, files_of
from stager.records.requests import create_request
from stager.records.tables import Event
from stager.runs.batch import Batch
from stager.runs.become_user import ActingUser
from stager.runs.destinations import LeaseHolder
from stager.runs.entry import Entry
from stager.runs.following import Comparing, Following, Transferring
from stager.runs.limited_transfers import ServerLimits
from stager.runs.stop import Stop
from tests.methods.staging_site import Site

STEPS: dict[str, Callable[[Entry, Batch], Following]] = {
    "check source": lambda entry, _: Following(entry),
    "check duplicate": lambda entry, batch: Comparing(entry, batch.writer),
    "transfer": lambda entry, batch: Transferring(entry, batch.writer, batch.limited),
    "set read-only": lambda entry, _: Following(entry),
    "publish": lambda entry, _: Following(entry),
}


@dataclass(frozen=True)
class Runs:
    """Runs of Alice's to a notebook server, and their records.

    Attributes
    ----------
    whose
        The user of the hub whose server it is.
    """

    database: Database
    site: Site
    connection: HubConnection
    acting: ActingUser
    whose: str = "alice"

    def batch(
        self,
        *destinations: str,
        source: str = "a.fits",
        holder: str = "this run",
        limits: ServerLimits | None = None,
    ) -> Batch:
        """Return a batch of new items, which all have the same source."""
        items = tuple(StagingItem(source=source, destination=one) for one in destinations)
        row = create_request(self.database, StagingRequest(method="jupyter_copy", username="alice", items=items))
        entries = []
        for file in files_of(self.database, row.id):
            item = self.site.item(source, destination=file.relative_path)
            assert isinstance(item.destination, NotebookPath)
            item = replace(item, destination=replace(item.destination, username=self.whose))
            file.destination_key = destination_key(item.destination)
            entries.append(Entry(file=file, item=item, place=item.destination.key, stopped=Stop()))
        writer = LeaseHolder(database=self.database, holder=holder, lease=600)
        return Batch(
            method=JupyterCopy(),
            entries=entries,
            writer=writer,
            acting=self.acting,
            connection=self.connection,
            limits=limits,
        )

    @staticmethod
    def do(batch: Batch, *steps: str, retry_in: float | None = None) -> None:
        for step in steps:
            batch.each(step, lambda entry, follow=STEPS[step]: follow(entry, batch), retry_in=retry_in)  # type: ignore[misc]

    def events(self, batch: Batch, kind: str) -> list[Event]:
        """Return what was told of the batch's request."""
        events = events_of(self.database, batch.entries[0].file.request_id)
        return [event for event in events if event.kind == kind]
