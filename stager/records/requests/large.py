"""Large requests, whose items arrive in parts: none is visible before it is whole."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import delete, exc, insert, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.errors import RequestArriving, RequestNotFound
from stager.models import StagingItem, StagingTerms, Status
from stager.records.cutting import Piece
from stager.records.database import Database, now
from stager.records.events import handed_to, note_event
from stager.records.request_secrets import keep_secrets
from stager.records.requests.creation import taken_in
from stager.records.requests.new_rows import file_rows, row_of
from stager.records.shards import insert_shards, one_piece
from stager.records.tables import StagedFile, StagingRequestRow
from stager.user_secrets import UserSecret

# A request whose items stopped arriving for so many seconds was given up by its caller.
ABANDONED_SECONDS = 600
# Items that are removed in one transaction.
ITEMS_AT_ONCE = 5000


def begin_large_request(
    database: Database,
    terms: StagingTerms,
    *,
    origin: str,
    idempotency_key: str | None,
    retry_of: str | None = None,
    is_bounded: bool = False,
    has_secret: bool = False,
    secret: UserSecret | None = None,
) -> str:
    """Record a request whose items arrive later, and return its id.

    Parameters
    ----------
    has_secret
        It needs a secret also where none comes with it: that of the request that it is a retry of.
    terms, origin, idempotency_key, retry_of, is_bounded, secret
        As ``new_request`` has them.

    Raises
    ------
    RequestArriving
        A request of the same key is there.
    """
    has_secret = has_secret or secret is not None
    row = row_of(terms, idempotency_key=idempotency_key, origin=origin, is_bounded=is_bounded, has_secret=has_secret)
    row |= {"retry_of": retry_of, "is_arriving": True, "body_digest": ""}
    request_id = str(row["id"])
    sealed = {request_id: secret.sealed_for(request_id)} if secret else {}

    def work(session: Session) -> None:
        moment = now(session)
        if session.get(StagingRequestRow, request_id) is None:
            session.add(
                StagingRequestRow(**row, created_at=moment, alive_until=moment + timedelta(seconds=ABANDONED_SECONDS))
            )
            session.flush()
            keep_secrets(session, sealed)

    try:
        database.write(work)
    except exc.IntegrityError:
        raise RequestArriving(idempotency_key or "") from None
    return request_id


def add_items(database: Database, request_id: str, items: Sequence[StagingItem], *, start: int) -> None:
    """Record the next items of an arriving request, given the position of the first.

    Raises
    ------
    RequestNotFound
        It was given up meanwhile.
    """
    rows = file_rows(items, request_id=request_id, start=start)
    row, file = StagingRequestRow, StagedFile
    written = select(col(file.id)).where(col(file.request_id) == request_id, col(file.position) == start)

    def work(session: Session) -> None:
        until = now(session) + timedelta(seconds=ABANDONED_SECONDS)
        grows = update(row).where(col(row.id) == request_id, col(row.is_arriving)).values(alive_until=until)
        if not session.execute(grows).rowcount:  # type: ignore[attr-defined] # an UPDATE's result has it
            raise RequestNotFound(request_id)
        if session.scalar(written) is None:
            session.execute(insert(file), rows)

    database.write(work)


def submit_large_request(
    database: Database,
    request_id: str,
    *,
    item_count: int,
    digest: str,
    pieces: Sequence[Piece] = (),
    flow_run_id: str | None = None,
) -> StagingRequestRow:
    """Make a request visible whose items have all arrived, and return its record.

    Parameters
    ----------
    pieces
        Its shards. By default, with a secret and with a flow run, it is one.
    flow_run_id
        The run that has it already; without one, it waits for runs.

    Raises
    ------
    RequestNotFound
        It was given up meanwhile.
    """

    def work(session: Session) -> StagingRequestRow:
        row = session.get(StagingRequestRow, request_id, with_for_update=True)
        if row is None:
            raise RequestNotFound(request_id)
        if row.is_arriving:
            row.is_arriving, row.alive_until, row.created_at = False, None, now(session)
            row.item_count, row.body_digest = item_count, digest
            note_event(session, row.id, kind="submitted", detail=taken_in(row))
            if flow_run_id:
                row.flow_run_id, row.flow_run_at = flow_run_id, row.created_at
                note_event(session, row.id, kind="flow_run", detail=handed_to(flow_run_id))
            is_one = row.has_secret or flow_run_id is not None or not pieces
            insert_shards(session, row, [one_piece(session, row)] if is_one else pieces)
        return row

    return database.write(work)


def abandon_large_request(database: Database, request_id: str) -> None:
    """Remove an incomplete request, some thousand items at a time."""
    row, file = StagingRequestRow, StagedFile
    some = select(col(file.id)).where(col(file.request_id) == request_id).limit(ITEMS_AT_ONCE)

    def work(session: Session) -> bool:
        arriving = session.get(row, request_id, with_for_update=True)
        if arriving is None or not arriving.is_arriving:
            return True
        ids = session.scalars(some).all()
        session.execute(delete(file).where(col(file.id).in_(ids)))
        if not ids:
            session.delete(arriving)
        return not ids

    while not database.write(work):
        pass


def abandoned_large_requests(database: Database) -> Sequence[str]:
    """Return the ids of the requests whose items stopped arriving."""
    row = StagingRequestRow

    def work(session: Session) -> Sequence[str]:
        silent = (col(row.status) == Status.SUBMITTED, col(row.is_arriving), col(row.alive_until) <= now(session))
        return session.scalars(select(col(row.id)).where(*silent)).all()

    return database.read(work)
