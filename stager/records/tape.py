"""Stage requests of the WLCG Tape REST API: what they have beyond other requests."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import and_, or_, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.errors import FileNotInRequest
from stager.models import Status
from stager.records.database import Database, chunks, now
from stager.records.database.columns import path_bytes
from stager.records.events import note_event
from stager.records.requests.lookup import request_in
from stager.records.tables import StagedFile


def files_changed_since(database: Database, request_id: str, since: datetime) -> Sequence[StagedFile]:
    """Return a request's files that changed since a moment, or wait to begin again, by position."""
    file = StagedFile
    # When a file's run died is not recorded with the file: such files are included until they begin.
    begins_again = and_(col(file.status) == Status.SUBMITTED, col(file.started_at).is_not(None))
    changed = or_(col(file.started_at) >= since, col(file.finished_at) >= since, begins_again)
    statement = select(file).where(col(file.request_id) == request_id, changed).order_by(col(file.position))
    return database.read(lambda session: session.scalars(statement).all())


def positions_of(database: Database, request_id: str, sources: Collection[str]) -> list[int]:
    """Return the positions of a request's files by their sources.

    Raises
    ------
    FileNotInRequest
        One of the sources is not the request's.
    InvalidPath
        One has a surrogate that stands for no byte.
    """
    return database.read(lambda session: sorted(_found(session, request_id, sources).values()))


def release_files(database: Database, request_id: str, sources: Collection[str]) -> None:
    """Record that some files of a request are not needed any more; all or none.

    The first release counts. One that was cancelled is left alone.

    Raises
    ------
    FileNotInRequest
        One of the sources is not the request's.
    InvalidPath
        One has a surrogate that stands for no byte.
    """
    file = StagedFile

    def work(session: Session) -> None:
        request_in(session, request_id, locked=True)
        positions = sorted(_found(session, request_id, sources).values())
        for some in chunks(positions):
            needed = (
                col(file.released_at).is_(None),
                col(file.status) != Status.CANCELLED,
                ~col(file.cancel_requested),
            )
            which = (col(file.request_id) == request_id, col(file.position).in_(some), *needed)
            session.execute(update(file).where(*which).values(released_at=now(session)))
        note_event(session, request_id, kind="released", detail=f"no longer needed: {len(positions)} of its files")

    database.write(work)


def forget_request(database: Database, request_id: str) -> None:
    """Hide a request from the Tape REST API; the record stays.

    Raises
    ------
    RequestNotFound
        There is none of that id.
    """

    def work(session: Session) -> None:
        row = request_in(session, request_id, locked=True)
        row.forgotten_at = row.forgotten_at or now(session)

    database.write(work)


def _found(session: Session, request_id: str, sources: Collection[str]) -> dict[str, int]:
    """Return the positions of some sources, which must all belong to the request."""
    file = StagedFile
    found: dict[str, int] = {}
    for source in sources:
        path_bytes(source)  # refused before the database is asked
    for some in chunks(sorted(set(sources))):
        which = (col(file.request_id) == request_id, col(file.local_path_on_storage).in_(some))
        rows = select(col(file.local_path_on_storage), col(file.position)).where(*which)
        found.update(session.execute(rows).tuples().all())
    for source in sources:
        if source not in found:
            raise FileNotInRequest(source, request_id)
    return found
