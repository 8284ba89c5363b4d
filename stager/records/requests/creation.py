"""Creation of requests: each is recorded before Prefect is asked to run it."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from contextlib import suppress

from sqlalchemy import Select, bindparam, exc, func, insert, select
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.errors import IdempotencyConflict, RequestArriving, TooManyRequests
from stager.models import StagingRequest
from stager.records.cutting import ShardLimits
from stager.records.database import Database, now
from stager.records.events import handed_to, note_events
from stager.records.request_secrets import keep_secrets
from stager.records.requests.new_rows import ClientWish, NewRequest, new_request
from stager.records.tables import FILE, OPEN, REQUEST, SHARD, StagingRequestRow
from stager.user_secrets import UserSecret

_INSERT_REQUEST, _INSERT_SHARD, _INSERT_FILE = insert(REQUEST), insert(SHARD), insert(FILE)
_OPEN_BY_USER = (
    select(REQUEST.c.username, func.count())
    .where(REQUEST.c.username.in_(bindparam("users", expanding=True)), REQUEST.c.status.in_(OPEN))
    .group_by(REQUEST.c.username)
)


def create_request(
    database: Database,
    request: StagingRequest,
    *,
    idempotency_key: str | None = None,
    flow_run_id: str | None = None,
    origin: str = "api",
    wishes: Sequence[ClientWish] = (),
    is_bounded: bool = False,
    secret: UserSecret | None = None,
    limits: ShardLimits | None = None,
    most_open: int | None = None,
) -> StagingRequestRow:
    """Record a request and its items, all or nothing, and return the record.

    The parameters are those of ``new_request`` and ``create_requests``.

    Raises
    ------
    IdempotencyConflict
        The key came with another request before.
    RequestArriving
        The key's request is still being taken in.
    TooManyRequests
        As many of the user's are open.
    InvalidPath
        A path has a surrogate that stands for no byte.
    DatabaseUnavailable
        The database stayed away.
    """
    made = new_request(
        request,
        idempotency_key=idempotency_key,
        flow_run_id=flow_run_id,
        origin=origin,
        wishes=wishes,
        is_bounded=is_bounded,
        secret=secret,
        limits=limits,
    )
    (created,) = create_requests(database, [made], most_open=most_open)
    if isinstance(created, Exception):
        raise created
    return created


def create_requests(
    database: Database, requests: Sequence[NewRequest], *, most_open: int | None = None
) -> list[StagingRequestRow | Exception]:
    """Record some requests in one transaction; each is recorded whole, or refused without the others.

    What the database has against one of them, which no refusal foresees, is an error of all: none is written.

    Parameters
    ----------
    most_open
        How many requests of one user may be open; by default any number.

    Returns
    -------
    list[StagingRequestRow | Exception]
        In their order, the record, or the first one of the same key; or
        why there is none: ``IdempotencyConflict``, ``RequestArriving``,
        ``TooManyRequests``.

    Raises
    ------
    DatabaseUnavailable
        The database stayed away; nothing was done.
    """
    may_be_written = False

    def work(session: Session) -> list[StagingRequestRow | Exception]:
        nonlocal may_be_written
        known = _known(session, requests, also_ours=may_be_written)
        may_be_written = True  # the next time, by this try
        return _write(session, requests, known, most_open)

    for _ in requests:
        with suppress(exc.IntegrityError):  # somebody else wrote one of the keys at this moment
            return database.write(work)
    return database.write(work)


def _known(session: Session, requests: Sequence[NewRequest], *, also_ours: bool) -> dict[object, StagingRequestRow]:
    """Return the records that exist already, by ids and keys: of the same keys, or by an earlier try."""
    keys = [request.key for request in requests if request.key]
    found: list[StagingRequestRow] = []
    if keys:
        found += session.scalars(_of_keys({username for username, _ in keys}, {name for _, name in keys}))
    if also_ours:
        ours = [request.row["id"] for request in requests]
        found += session.scalars(select(StagingRequestRow).where(col(StagingRequestRow.id).in_(ours)))
    return {name: row for row in found for name in (row.id, (row.username, row.idempotency_key))}


def _write(
    session: Session, requests: Sequence[NewRequest], known: dict[object, StagingRequestRow], most_open: int | None
) -> list[StagingRequestRow | Exception]:
    room = _room(session, {request.row["username"] for request in requests}, most_open)
    moment = now(session)
    outcomes: list[StagingRequestRow | Exception] = []
    new: list[tuple[StagingRequestRow, NewRequest]] = []
    for request in requests:
        username, name = request.row["username"], request.key or request.row["id"]
        row = known.get(request.row["id"]) or known.get(name)
        if row is None and room[username] > 0:
            times = {"created_at": moment, "flow_run_at": moment if request.row["flow_run_id"] else None}
            for one in (request.row, *request.shards):
                one.update(times)
            row = known[name] = StagingRequestRow(**request.row)
            room[username] -= 1
            new.append((row, request))
        outcomes.append(_outcome(row, request) if row else TooManyRequests(username, most_open or 0))
    if new:
        _insert(session, new)
    return outcomes


def _room(session: Session, usernames: Collection[str], most_open: int | None) -> dict[str, float]:
    """Return how many more requests each user may have."""
    if most_open is None:
        return dict.fromkeys(usernames, math.inf)
    are_open = dict(session.connection().execute(_OPEN_BY_USER, {"users": sorted(usernames)}).tuples().all())
    return {username: most_open - are_open.get(username, 0) for username in usernames}


def _outcome(row: StagingRequestRow, request: NewRequest) -> StagingRequestRow | Exception:
    """Return the record, or raise if it is of another request with the same key."""
    key = row.idempotency_key or ""
    if row.is_arriving:
        return RequestArriving(key)
    is_same = all(getattr(row, name) == request.row[name] for name in ("body_digest", "has_secret"))
    return row if is_same else IdempotencyConflict(key)


def _insert(session: Session, new: Sequence[tuple[StagingRequestRow, NewRequest]]) -> None:
    connection = session.connection()
    connection.execute(_INSERT_REQUEST, [request.row for _, request in new])
    connection.execute(_INSERT_SHARD, [shard for _, request in new for shard in request.shards])
    connection.execute(_INSERT_FILE, [file for _, request in new for file in request.files])
    keep_secrets(session, {row.id: request.sealed for row, request in new if request.sealed})
    note_events(session, {row.id: taken_in(row) for row, _ in new}, kind="submitted")
    runs = {row.id: handed_to(row.flow_run_id) for row, _ in new if row.flow_run_id}
    note_events(session, runs, kind="flow_run")


def taken_in(row: StagingRequestRow) -> str:
    """Return the text of the event that a request was recorded."""
    items = "1 item" if row.item_count == 1 else f"{row.item_count} items"
    return f"{items} by {row.method} for {row.username}"


def request_of_key(database: Database, username: str, key: str) -> StagingRequestRow | None:
    """Return the record of a user's idempotency key, if there is one."""
    return database.read(lambda session: session.scalars(_of_keys({username}, {key})).one_or_none())


def _of_keys(usernames: Collection[str], keys: Collection[str]) -> Select[tuple[StagingRequestRow]]:
    row = StagingRequestRow
    return select(row).where(col(row.username).in_(usernames), col(row.idempotency_key).in_(keys))
