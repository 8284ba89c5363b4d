"""Events: why the state of a request changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.records.database import Database, now
from stager.records.tables import EVENT, Event

_INSERT = insert(EVENT)


def events_of(
    database: Database, request_id: str, *, after: int | None = None, limit: int | None = None
) -> Sequence[Event]:
    """Return a request's events in the order in which they happened.

    Parameters
    ----------
    after
        Only those with a higher id.
    limit
        How many at most; by default all.
    """
    statement = select(Event).where(col(Event.request_id) == request_id).order_by(col(Event.id)).limit(limit)
    if after is not None:
        statement = statement.where(col(Event.id) > after)
    return database.read(lambda session: session.scalars(statement).all())


def note_event(
    session: Session,
    request_id: str,
    *,
    kind: str,
    detail: str,
    cause: str | None = None,
    until: datetime | None = None,
) -> None:
    """Write an event in the transaction that changes the state.

    Parameters
    ----------
    detail
        Why, in a sentence.
    cause
        Why, in a word: an error's class, or what is waited for.
    until
        When that is known to end.
    """
    facts = {"kind": kind, "detail": detail, "cause": cause, "until": until}
    session.connection().execute(_INSERT, {"request_id": request_id, "at": now(session), **facts})


def handed_to(flow_run_id: str) -> str:
    """Return in words that a flow run has a request, for its event."""
    return f"handed to flow run {flow_run_id}"


def note_events(session: Session, details: Mapping[str, str], *, kind: str) -> None:
    """Write an event of one kind for each of some requests, given the sentences by the requests' ids."""
    at = now(session)
    events = [{"request_id": one, "at": at, "kind": kind, "detail": detail} for one, detail in details.items()]
    if events:
        session.connection().execute(_INSERT, events)
