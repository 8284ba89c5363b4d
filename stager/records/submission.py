"""Submission: a request is written down before anybody is asked to do it."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from typing import Any

from sqlalchemy import exc, insert, select
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.errors import IdempotencyConflict
from stager.models import StagingRequest, Status
from stager.records.columns import path_bytes
from stager.records.database import Database, now
from stager.records.events import note_event
from stager.records.tables import StagedFile, StagingRequestRow


def create_request(
    database: Database,
    request: StagingRequest,
    *,
    idempotency_key: str | None = None,
    flow_run_id: str | None = None,
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

    Raises
    ------
    IdempotencyConflict
        The key came with another request before.
    InvalidPath
        A path has a surrogate that stands for no byte.
    DatabaseUnavailable
        The database stayed away.
    """
    row = {**_row(request, idempotency_key), "flow_run_id": flow_run_id}
    files = _files(request, request_id=row["id"])

    def work(session: Session) -> StagingRequestRow:
        if known := _known(session, row["id"], username=request.username, key=idempotency_key):
            return known
        return _write(session, row, files)

    try:
        created = database.write(work)
    except exc.IntegrityError:  # somebody else wrote the same key at this moment
        created = database.write(work)
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
    created = StagingRequestRow(**row, created_at=moment, flow_run_at=moment if row["flow_run_id"] else None)
    session.add(created)
    session.flush()
    session.execute(insert(StagedFile), files)
    words = "1 item" if len(files) == 1 else f"{len(files)} items"
    note_event(session, created.id, kind="submitted", detail=f"{words} by {created.method} for {created.username}")
    if created.flow_run_id:
        note_event(session, created.id, kind="flow_run", detail=f"handed to flow run {created.flow_run_id}")
    return created


def _row(request: StagingRequest, idempotency_key: str | None) -> dict[str, Any]:
    return {
        "id": new_id(),
        "method": request.method,
        "username": request.username,
        "source_area": request.source_area,
        "destination_area": request.destination_area,
        "on_conflict": request.on_conflict.value,
        "status": Status.SUBMITTED,
        "cancel_requested": False,
        "idempotency_key": idempotency_key,
        "body_digest": _digest(request),
        "item_count": len(request.items),
    }


def _files(request: StagingRequest, *, request_id: str) -> list[dict[str, Any]]:
    for path in (path for item in request.items for path in (item.source, item.destination)):
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
        for position, item in enumerate(request.items)
    ]


def _digits(checksum: str | None) -> str | None:
    """Return an Adler-32 as eight lower-case digits."""
    return checksum and checksum.lower().removeprefix("adler32:").zfill(8)


def _digest(request: StagingRequest) -> str:
    body = json.dumps(request.model_dump(), sort_keys=True)
    return hashlib.sha256(body.encode()).hexdigest()


def new_id() -> str:
    """Return 32 hexadecimal digits that sort by time: a UUID of version 7 (RFC 9562)."""
    milliseconds = time.time_ns() // 1_000_000
    random = secrets.randbits(74)
    number = milliseconds << 80 | 0x7 << 76 | (random >> 62) << 64 | 0b10 << 62 | random & (1 << 62) - 1
    return f"{number:032x}"
