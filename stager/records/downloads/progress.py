"""Progress of downloads that are being sent, and cancellation of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, or_, select, update
from sqlmodel import col

from stager.models import Status
from stager.records.database import Database
from stager.records.downloads.record import DIRECT_DOWNLOAD
from stager.records.tables import FILE, OPEN, StagedFile, StagingRequestRow


@dataclass(frozen=True, kw_only=True)
class DownloadProgress:
    """The progress of a download: ``bytes_sent`` of this answer, ``size_bytes`` of the file."""

    id: str
    bytes_sent: int
    size_bytes: int | None


def note_sent(database: Database, progress: Sequence[DownloadProgress]) -> None:
    """Record the progress of downloads; those that have ended stay as they are."""
    statement = (
        update(FILE)
        .where(FILE.c.request_id == bindparam("of"), FILE.c.position == 0, or_(*(FILE.c.status == one for one in OPEN)))
        .values(bytes_done=bindparam("sent"), size_bytes=bindparam("size"))
    )
    rows = [{"of": one.id, "sent": one.bytes_sent, "size": one.size_bytes} for one in progress]
    if rows:
        database.write(lambda session: session.connection().execute(statement, rows) and None)


def downloads_to_stop(database: Database) -> set[str]:
    """Return the ids of open downloads, of any replica, whose cancellation was asked for."""
    row, file = StagingRequestRow, StagedFile
    statement = (
        select(col(row.id))
        .join(file, col(file.request_id) == col(row.id))
        .where(
            col(row.method) == DIRECT_DOWNLOAD,
            col(row.status) == Status.STARTED,
            or_(col(row.cancel_requested), col(file.cancel_requested)),
        )
    )
    return database.read(lambda session: set(session.scalars(statement)))
