"""Records of downloads, written in groups: one transaction for all that begin or end at a moment."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.errors import Cancelled, StagingError
from stager.models import Status
from stager.records.database import Database, chunks, now
from stager.records.database.columns import path_bytes
from stager.records.tables import EVENT, FILE, OPEN, REQUEST, StagingRequestRow
from stager.vocabulary import OnConflict

DIRECT_DOWNLOAD = "direct_download"
# Not the name of a real area: a download delivers nothing to one.
DOWNLOAD_AREA = "download"


@dataclass(frozen=True, kw_only=True)
class DownloadBegun:
    """A download that is about to send its first byte.

    ``destination`` is what the caller said it is for; ``acting_as`` tells who
    reads it, in words.
    """

    id: str
    username: str
    area: str
    path: str
    destination: str
    acting_as: str


@dataclass(frozen=True, kw_only=True)
class DownloadEnded:
    """How a download ended; without an error it was sent whole, as far as it was asked for.

    ``size_bytes``, the checksum and ``source_fingerprint`` are of the file,
    ``bytes_sent`` of this answer.
    """

    id: str
    bytes_sent: int
    kind: str = "file"
    size_bytes: int | None = None
    file_count: int | None = None
    checksum: str | None = None
    checksum_algorithm: str | None = None
    source_fingerprint: str | None = None
    error: StagingError | None = None


def write_downloads(
    database: Database, begun: Sequence[DownloadBegun], ended: Sequence[DownloadEnded], *, seconds: float
) -> None:
    """Record downloads that begin and downloads that end, all in one transaction.

    One may be in both. What has ended stays as it ended.

    Parameters
    ----------
    seconds
        How long one that begins is taken to live, unless it is renewed.

    Raises
    ------
    DatabaseUnavailable
        The database stayed away; nothing was written.
    """

    def work(session: Session) -> None:
        moment = now(session)
        endings = {one.id: _ending(one, moment) for one in ended}
        fresh = _unknown(session, begun)
        known = endings.keys() - {one.id for one in fresh}
        still_open = _open_downloads(session, sorted(known)) if known else set()
        _begin(session, fresh, endings, moment=moment, seconds=seconds)
        _end(session, [endings[one] for one in still_open])
        noted = [row for one, row in endings.items() if one not in known or one in still_open]
        if noted:
            session.connection().execute(insert(EVENT), [_event(row) for row in noted])

    database.write(work)


def _unknown(session: Session, begun: Sequence[DownloadBegun]) -> list[DownloadBegun]:
    """Return those that an earlier try of this transaction has not recorded: its answer may have been lost."""
    known: set[str] = set()
    for some in chunks(begun):
        known.update(
            session.scalars(
                select(col(StagingRequestRow.id)).where(col(StagingRequestRow.id).in_([o.id for o in some]))
            )
        )
    return [one for one in begun if one.id not in known]


def _open_downloads(session: Session, ids: Sequence[str]) -> set[str]:
    """Return which of some ids are of open downloads: only these may be ended here."""
    row = StagingRequestRow
    found: set[str] = set()
    for some in chunks(ids):
        statement = select(col(row.id)).where(
            col(row.id).in_(some), col(row.status).in_(OPEN), col(row.method) == DIRECT_DOWNLOAD
        )
        found.update(session.scalars(statement.order_by(col(row.id)).with_for_update()))
    return found


def _request(one: DownloadBegun, moment: datetime, seconds: float) -> dict[str, Any]:
    said = repr((one.username, one.area, one.path, one.destination))
    return {
        "id": one.id,
        "method": DIRECT_DOWNLOAD,
        "username": one.username,
        "source_area": one.area,
        "destination_area": DOWNLOAD_AREA,
        "on_conflict": OnConflict.REPLACE.value,
        "crashes": 0,
        "acting_as": one.acting_as,
        "cancel_requested": False,
        "body_digest": hashlib.sha256(said.encode("utf-8", "backslashreplace")).hexdigest(),
        "created_at": moment,
        "started_at": moment,
        "alive_until": moment + timedelta(seconds=seconds),
        "origin": "api",
        "priority": 0,
        "is_arriving": False,
        "is_bounded": False,
        "has_secret": False,
        "item_count": 1,
    }


def _file(one: DownloadBegun, moment: datetime) -> dict[str, Any]:
    path_bytes(one.path)
    return {
        "request_id": one.id,
        "position": 0,
        "local_path_on_storage": one.path,
        "relative_path": one.destination,
        "destination_key": f"{one.id}/0",
        "method": DIRECT_DOWNLOAD,
        "started_at": moment,
        "cancel_requested": False,
    }


def _begin(
    session: Session,
    begun: Sequence[DownloadBegun],
    endings: Mapping[str, dict[str, Any]],
    *,
    moment: datetime,
    seconds: float,
) -> None:
    """Record downloads that begin, and those among them that have ended already as ended."""
    if not begun:
        return
    rows = [(one, endings.get(one.id, _NOT_ENDED)) for one in begun]
    connection = session.connection()
    connection.execute(insert(REQUEST), [_request(one, moment, seconds) | _some(row, _OF_REQUEST) for one, row in rows])
    connection.execute(insert(FILE), [_file(one, moment) | _some(row, _OF_FILE) for one, row in rows])


def _end(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        return
    connection = session.connection()
    connection.execute(
        update(REQUEST).where(REQUEST.c.id == bindparam("of")).values(_bound(_OF_REQUEST)),
        [_some(row, ("of", *_OF_REQUEST)) for row in rows],
    )
    connection.execute(
        update(FILE).where(FILE.c.request_id == bindparam("of"), FILE.c.position == 0).values(_bound(_OF_FILE)),
        [_some(row, ("of", *_OF_FILE)) for row in rows],
    )


def _event(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "request_id": row["of"],
        "at": row["finished_at"],
        "kind": row["status"].value,
        "detail": row["detail"],
        "cause": row["error_type"],
    }


def _some(row: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: row[name] for name in names}


_OF_REQUEST = ("status", "error_reason", "finished_at", "bytes_done", "files_done")
_OF_FILE = (
    *_OF_REQUEST,
    "error_type",
    "kind",
    "size_bytes",
    "file_count",
    "checksum",
    "checksum_algorithm",
    "source_fingerprint",
)
_NOT_ENDED: dict[str, Any] = {
    **dict.fromkeys(_OF_FILE),
    "status": Status.STARTED,
    "bytes_done": 0,
    "files_done": 0,
}


def _bound(names: Sequence[str]) -> dict[str, Any]:
    return {name: bindparam(name) for name in names}


def _ending(one: DownloadEnded, moment: datetime) -> dict[str, Any]:
    error = one.error
    failure = Status.CANCELLED if isinstance(error, Cancelled) else Status.FAILED
    return {
        "of": one.id,
        "status": failure if error else Status.COMPLETED,
        "error_reason": error.message if error else None,
        "error_type": type(error).__name__ if error else None,
        "detail": error.message if error else f"{one.bytes_sent} bytes sent",
        "finished_at": moment,
        "bytes_done": one.bytes_sent,
        "files_done": 0 if error else one.file_count or 1,
        "kind": one.kind,
        "size_bytes": one.size_bytes,
        "file_count": one.file_count,
        "checksum": one.checksum,
        "checksum_algorithm": one.checksum_algorithm,
        "source_fingerprint": one.source_fingerprint,
    }
