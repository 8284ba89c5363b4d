"""Submission: a request is written down before anybody is asked to do it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Sequence
from typing import Any, TypedDict

from sqlalchemy import exc, insert, select
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.errors import IdempotencyConflict, RequestArriving
from stager.models import StagingItem, StagingRequest, StagingTerms, Status
from stager.records.columns import path_bytes
from stager.records.database import Database, now
from stager.records.digest import digest_of
from stager.records.events import note_event
from stager.records.tables import FILE, REQUEST, StagingRequestRow

_INSERT_REQUEST, _INSERT_FILE = insert(REQUEST), insert(FILE)


class ClientWish(TypedDict):
    """What a Tape REST client says of a file: for how many seconds it is wanted, and its words as JSON."""

    lifetime: int | None
    targeted_metadata: str


def create_request(
    database: Database,
    request: StagingRequest,
    *,
    idempotency_key: str | None = None,
    flow_run_id: str | None = None,
    origin: str = "api",
    wishes: Sequence[ClientWish] = (),
) -> StagingRequestRow:
    """Write a request and its items down, all or nothing, and return its record.

    Parameters
    ----------
    request
        What is asked for.
    idempotency_key
        The caller's own name for the request, at most 255 bytes; with the same
        key and the same request, the first record is returned.
    flow_run_id
        The run that has the request already; without one, it waits for a run.
    origin
        The door that it came in by, in a word of at most 16 letters.
    wishes
        What a Tape REST client says of each item, in their order; by default nothing.

    Raises
    ------
    IdempotencyConflict
        The key came with another request before.
    RequestArriving
        The key's request is still being taken in.
    InvalidPath
        A path has a surrogate that stands for no byte.
    DatabaseUnavailable
        The database stayed away.
    """
    row = {
        **row_of(request, idempotency_key=idempotency_key, origin=origin),
        "flow_run_id": flow_run_id,
        "body_digest": digest_of(request),
        "item_count": len(request.items),
    }
    files = file_rows(request.items, request_id=row["id"])
    for file, wish in zip(files, wishes, strict=bool(wishes)):
        file.update(wish)

    may_be_known = idempotency_key is not None

    def work(session: Session) -> StagingRequestRow:
        nonlocal may_be_known
        known = _known(session, row["id"], username=request.username, key=idempotency_key) if may_be_known else None
        may_be_known = True  # the next time, by this try
        if known:
            return known
        return _write(session, row, files)

    try:
        created = database.write(work)
    except exc.IntegrityError:  # somebody else wrote the same key at this moment
        created = database.write(work)
    if created.is_arriving:
        raise RequestArriving(idempotency_key or "")
    if created.body_digest != row["body_digest"]:
        raise IdempotencyConflict(idempotency_key or "")
    return created


def _known(session: Session, request_id: str, *, username: str, key: str | None) -> StagingRequestRow | None:
    """Return the record that is there already: by an earlier try, or of the same key."""
    if ours := session.get(StagingRequestRow, request_id):
        return ours
    if key is None:
        return None
    row = StagingRequestRow
    return session.scalars(
        select(row).where(col(row.username) == username, col(row.idempotency_key) == key)
    ).one_or_none()


def _write(session: Session, row: dict[str, Any], files: list[dict[str, Any]]) -> StagingRequestRow:
    moment = now(session)
    row = {**row, "created_at": moment, "flow_run_at": moment if row["flow_run_id"] else None}
    session.connection().execute(_INSERT_REQUEST, row)
    session.connection().execute(_INSERT_FILE, files)
    created = StagingRequestRow(**row)
    note_submitted(session, created)
    if created.flow_run_id:
        note_event(session, created.id, kind="flow_run", detail=f"handed to flow run {created.flow_run_id}")
    return created


def note_submitted(session: Session, row: StagingRequestRow) -> None:
    """Write the event that a request was taken in."""
    words = "1 item" if row.item_count == 1 else f"{row.item_count} items"
    note_event(session, row.id, kind="submitted", detail=f"{words} by {row.method} for {row.username}")


def request_of_key(database: Database, username: str, key: str) -> StagingRequestRow | None:
    """Return the record of a user's idempotency key, if there is one."""
    return database.read(lambda session: _known(session, "", username=username, key=key))


def row_of(terms: StagingTerms, *, idempotency_key: str | None, origin: str) -> dict[str, Any]:
    """Return a new request's row, as far as its terms fill it."""
    return {
        "id": new_id(),
        "origin": origin,
        **terms.model_dump(include=set(StagingTerms.model_fields)),
        "on_conflict": terms.on_conflict.value,
        "status": Status.SUBMITTED,
        "cancel_requested": False,
        "idempotency_key": idempotency_key,
    }


def file_rows(items: Iterable[StagingItem], *, request_id: str, start: int = 0) -> list[dict[str, Any]]:
    """Return the rows of a request's items, the first of which has that position."""
    items = tuple(items)
    for path in (path for item in items for path in (item.source, item.destination)):
        path_bytes(path)  # refused before anything is written
    return [
        {
            "request_id": request_id,
            "position": position,
            "local_path_on_storage": item.source,
            "relative_path": item.destination,
            "destination_key": f"{request_id}/{position}",  # until the run knows the place: its own
            "status": Status.SUBMITTED,
            "expected_checksum": _digits(item.checksum),
            "expected_size_bytes": item.size_bytes,
            "bytes_done": 0,
            "files_done": 0,
        }
        for position, item in enumerate(items, start)
    ]


def _digits(checksum: str | None) -> str | None:
    """Return an Adler-32 as eight lower-case digits."""
    return checksum and checksum.lower().removeprefix("adler32:").zfill(8)


def new_id() -> str:
    """Return 32 hexadecimal digits that sort by time: a UUID of version 7 (RFC 9562)."""
    milliseconds = time.time_ns() // 1_000_000
    random = secrets.randbits(74)
    number = milliseconds << 80 | 0x7 << 76 | (random >> 62) << 64 | 0b10 << 62 | random & (1 << 62) - 1
    return f"{number:032x}"
