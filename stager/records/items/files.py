"""Items of requests: their progress and how they ended."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple, Required, TypedDict

from sqlalchemy import bindparam, func, or_, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.checksums import ADLER32
from stager.models import Status
from stager.records.database import Database, chunks, now
from stager.records.database.row_updates import update_rows
from stager.records.tables import FILE, OPEN, DestinationLease, StagedFile


class FileChange(TypedDict, total=False):
    """Changes of a file's record; members that are left out stay as they are."""

    id: Required[int]
    status: Status
    error_reason: str | None
    error_type: str | None
    destination_key: str
    method: str
    kind: str | None
    size_bytes: int | None
    file_count: int | None
    checksum: str | None
    checksum_algorithm: str | None
    source_fingerprint: str | None
    destination_fingerprint: str | None
    seen_at: str | None
    link: str | None
    left_writable: str | None
    left_unverified: str | None
    bytes_done: int
    files_done: int


class Progress(NamedTuple):
    """The progress of a file, and its size."""

    file_id: int
    bytes_done: int
    files_done: int
    size_bytes: int | None = None
    file_count: int | None = None


def beginning(file_id: int, *, destination_key: str, seen_at: str | None, link: str | None) -> FileChange:
    """Return the change of a file that a run begins with, now that its place is known."""
    return FileChange(id=file_id, status=Status.STARTED, destination_key=destination_key, seen_at=seen_at, link=link)


def files_of(
    database: Database,
    request_id: str,
    *,
    after: int | None = None,
    limit: int | None = None,
    statuses: Collection[Status] = (),
) -> Sequence[StagedFile]:
    """Return a request's files by position.

    Parameters
    ----------
    after
        Only those behind this position.
    limit
        How many at most; by default all: of a large request, ask for pages.
    statuses
        Only those that stand so; by default all.
    """
    file = StagedFile
    statement = select(file).where(col(file.request_id) == request_id).order_by(col(file.position)).limit(limit)
    if after is not None:
        statement = statement.where(col(file.position) > after)
    if statuses:
        statement = statement.where(col(file.status).in_(statuses))
    return database.read(lambda session: session.scalars(statement).all())


def first_files(database: Database, request_ids: Sequence[str], *, limit: int) -> dict[str, list[StagedFile]]:
    """Return the first files of some requests, by the requests' ids and by position.

    Parameters
    ----------
    limit
        How many of each at most.
    """
    file = StagedFile

    def work(session: Session) -> dict[str, list[StagedFile]]:
        found: dict[str, list[StagedFile]] = {request_id: [] for request_id in request_ids}
        for some in chunks(request_ids):
            statement = select(file).where(col(file.request_id).in_(some), col(file.position) < limit)
            for row in session.scalars(statement.order_by(col(file.request_id), col(file.position))):
                found[row.request_id].append(row)
        return found

    return database.read(work)


def counts_of(database: Database, request_id: str) -> dict[Status, int]:
    """Return the number of a request's items of each status, but for those that became others."""
    file = StagedFile
    counted = or_(col(file.expand).is_(None), col(file.status) != Status.COMPLETED)
    counts = select(col(file.status), func.count()).where(col(file.request_id) == request_id, counted)
    by_status = counts.group_by(col(file.status))
    return database.read(lambda session: dict(session.execute(by_status).tuples().all()))


def has_directory(database: Database, request_id: str, *, statuses: Sequence[Status]) -> bool:
    """Tell whether one of a request's items with some statuses is a directory of the user's own."""
    file = StagedFile
    asked = select(col(file.id)).where(
        col(file.request_id) == request_id, col(file.status).in_(statuses), col(file.kind) == "directory"
    )
    return database.read(lambda session: session.scalars(asked.limit(1)).first() is not None)


def ended_among(database: Database, ids: Sequence[int]) -> set[int]:
    """Return those of some files that have ended."""
    file = StagedFile

    def work(session: Session) -> set[int]:
        have_ended = select(col(file.id)).where(col(file.status).not_in(OPEN))
        return {found for some in chunks(ids) for found in session.scalars(have_ended.where(col(file.id).in_(some)))}

    return database.read(work)


def save_files(database: Database, changes: Sequence[FileChange], *, holder: str | None = None) -> list[int]:
    """Record changes of files in one transaction, and return those that were left alone.

    A file that has ended stays as it ended. With a holder, a file whose lease
    another living writer of the same request holds is left to that one.

    Parameters
    ----------
    changes
        What is new; the times of start and end are set from the status.
    holder
        Who writes, as in ``acquire_leases``.

    Returns
    -------
    list[int]
        Ids of the files that were left alone.

    Raises
    ------
    DatabaseUnavailable
        The database stayed away.
    """
    tries: list[datetime] = []

    def work(session: Session) -> list[int]:
        tries.append(moment := now(session))
        ours = _ours(session, sorted(change["id"] for change in changes), holder=holder, tries=tries)
        update_rows(session, FILE, [_with_times(change, moment) for change in changes if change["id"] in ours])
        return [change["id"] for change in changes if change["id"] not in ours]

    return database.write(work)


def note_progress(database: Database, progress: Iterable[Progress]) -> None:
    """Record the progress of files; those that have ended stay as they are."""
    statement = (
        update(FILE)
        .where(FILE.c.id == bindparam("file_id"), or_(*(FILE.c.status == status for status in OPEN)))
        .values(
            bytes_done=bindparam("bytes"),
            files_done=bindparam("files"),
            size_bytes=bindparam("size"),
            file_count=bindparam("count"),
        )
    )
    names = ("file_id", "bytes", "files", "size", "count")
    rows = [dict(zip(names, one, strict=True)) for one in progress]
    if rows:
        database.write(lambda session: session.connection().execute(statement, rows) and None)


def last_copies(database: Database, keys: Sequence[str]) -> dict[str, StagedFile]:
    """Return the last deliveries to some destinations, by the destinations' keys."""
    file = StagedFile

    def work(session: Session) -> dict[str, StagedFile]:
        found: dict[str, StagedFile] = {}
        for some in chunks(sorted(set(keys))):
            statement = select(file).where(col(file.destination_key).in_(some), col(file.status) == Status.COMPLETED)
            for row in session.scalars(statement.order_by(col(file.finished_at), col(file.id))):
                found[row.destination_key] = row
        return found

    return database.read(work)


def checksum_of_source(database: Database, fingerprint: str) -> str | None:
    """Return the Adler-32 of a file that was read whole before, by its fingerprint."""
    file = StagedFile
    statement = select(col(file.checksum)).where(
        col(file.source_fingerprint) == fingerprint,
        col(file.kind) == "file",
        col(file.checksum_algorithm) == ADLER32,
    )

    return database.read(lambda session: session.scalars(statement.limit(1)).first())


def _ours(session: Session, ids: Sequence[int], *, holder: str | None, tries: Sequence[datetime]) -> set[int]:
    """Return the files that are open and not another writer's, and lock their rows.

    What an earlier try of the same transaction has ended is still ours: only
    the answer to its COMMIT was lost.
    """
    file, lease = StagedFile, DestinationLease
    ours: set[int] = set()
    for some in chunks(ids):
        statement = select(col(file.id), col(file.destination_key), col(file.request_id)).where(
            col(file.id).in_(some), or_(col(file.status).in_(OPEN), col(file.finished_at).in_(tries))
        )
        rows = session.execute(statement.order_by(col(file.id)).with_for_update()).all()
        others = select(col(lease.destination_key), col(lease.request_id)).where(
            col(lease.destination_key).in_([row.destination_key for row in rows]),
            col(lease.holder) != holder,
            col(lease.expires_at) > tries[-1],
        )
        theirs = {(row.destination_key, row.request_id) for row in session.execute(others)} if holder else set()
        ours.update(row.id for row in rows if (row.destination_key, row.request_id) not in theirs)
    return ours


def _with_times(change: FileChange, moment: datetime) -> dict[str, object]:
    row: dict[str, object] = {**change}
    if (status := change.get("status")) is Status.STARTED:
        row["started_at"] = moment
    elif status and status.is_final:
        row["finished_at"] = moment
    return row
