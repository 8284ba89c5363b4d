"""The statement cache: the SQL of a run is compiled beforehand, in the process that runs are forked from."""

from __future__ import annotations

import uuid

from stager.checksums import ADLER32
from stager.models import StagingItem, StagingRequest, Status
from stager.records.database import Database
from stager.records.items.files import (
    FileChange,
    beginning,
    ended_among,
    files_of,
    first_files,
    last_copies,
    save_files,
)
from stager.records.leases import acquire_leases, confirm_leases, release_leases, renew_leases
from stager.records.requests.creation import create_request
from stager.records.requests.lifecycle import close_requests, start_requests
from stager.records.requests.lookup import get_requests
from stager.records.requests.under_way import files_to_stop, renew_requests, requests_to_stop
from stager.records.runs.run_groups import note_flow_run
from stager.records.tables import StagedFile


def fill_statement_cache(database: Database) -> None:
    """Do a request's transactions once, and keep nothing of them but the compiled SQL.

    SQLAlchemy makes SQL of each statement at its first time, which takes
    longer than the database does. Processes that are forked afterwards, and
    use the same object, have it already.

    Raises
    ------
    DatabaseUnavailable, sqlalchemy.exc.SQLAlchemyError
        The database is away, locked or not migrated.
    """
    with database.rolled_back():
        for arrives in (True, False):
            _stage(database, arrives=arrives)


def _stage(database: Database, *, arrives: bool) -> None:
    run, lease = f"nobody-{uuid.uuid4()}", 60.0
    asked = StagingRequest(method="local_copy", username=run[:32], items=(StagingItem(source="a", destination="a"),))
    ids = [create_request(database, asked).id]
    note_flow_run(database, ids, run)
    get_requests(database, ids)
    renew_requests(database, ids, seconds=lease)
    start_requests(database, ids, flow_run_id=run, acting_as=run)
    first_files(database, ids, limit=1)
    (file,) = files_of(database, ids[0], limit=1)
    file.destination_key = run
    save_files(database, [beginning(file.id, destination_key=run, seen_at=run, link=None)])
    last_copies(database, [run])
    acquire_leases(database, [file], holder=run, seconds=lease, places={run: f"/{run}"})
    ended_among(database, [file.id])
    requests_to_stop(database, ids, flow_run_id=run)
    files_to_stop(database, [file.id])
    renew_leases(database, holder=run, seconds=lease)
    confirm_leases(database, [file], holder=run, seconds=lease)
    save_files(database, [_ending(file, arrives=arrives)], holder=run)
    release_leases(database, holder=run)
    files_of(database, ids[0], after=file.position, limit=1)
    close_requests(database, ids, holder=run, flow_run_id=run)


def _ending(file: StagedFile, *, arrives: bool) -> FileChange:
    """Return the changes of a delivered or skipped file: their columns determine the statement."""
    change = FileChange(id=file.id, status=Status.SKIPPED, method="local_copy", kind="file", size_bytes=1, file_count=1)
    change["source_fingerprint"] = "a"
    if arrives:
        change["status"], change["destination_fingerprint"] = Status.COMPLETED, "a"
        change["checksum"], change["checksum_algorithm"] = "00000001", ADLER32
        change["left_writable"], change["left_unverified"] = None, None
        change["bytes_done"], change["files_done"] = 1, 1
    return change
