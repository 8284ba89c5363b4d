"""Events: why the state of a request changed, and what it waits for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import func, insert, or_, select
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.errors import StagingError
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
    """Record an event in the transaction that changes the state.

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
    """Return the text of the event that a request was handed to a flow run."""
    return f"handed to flow run {flow_run_id}"


def note_events(session: Session, details: Mapping[str, str], *, kind: str) -> None:
    """Record events of one kind for some requests, given the sentences by the requests' ids."""
    at = now(session)
    events = [{"request_id": one, "at": at, "kind": kind, "detail": detail} for one, detail in details.items()]
    if events:
        session.connection().execute(_INSERT, events)


class Wait(NamedTuple):
    """Why a request does not go on just now: in a word, and in a sentence."""

    cause: str
    detail: str


# What follows a wait.
GOES_ON = Wait("Working", "its run waits no more")


def wait_for(error: StagingError) -> Wait:
    """Return an error as the reason of a wait."""
    return Wait(type(error).__name__, error.message)


def note_waits(database: Database, waits: Mapping[str, Wait], *, kind: str, seconds: float | None = None) -> None:
    """Record why requests, by their ids, do not go on just now.

    Parameters
    ----------
    kind
        ``retrying``: an error is behind them; ``waiting``: for what another request holds; ``starting``: for a server
        that is started for them; ``waited``: no more.
    seconds
        When they go on, from now; None when nobody knows.
    """

    def work(session: Session) -> None:
        until = None if seconds is None else now(session) + timedelta(seconds=seconds)
        for request_id, wait in waits.items():
            note_event(session, request_id, kind=kind, detail=wait.detail, cause=wait.cause, until=until)

    database.write(work)


def cause_began(database: Database, event: Event) -> datetime:
    """Return since when a request's events, up to this one, are of the same kind and cause."""
    which = (col(Event.request_id) == event.request_id, col(Event.id) < event.id)
    is_another = or_(col(Event.kind) != event.kind, col(Event.cause) != event.cause, col(Event.cause).is_(None))
    another = select(func.coalesce(func.max(col(Event.id)), 0)).where(*which, is_another).scalar_subquery()
    first = select(func.min(col(Event.at))).where(*which, col(Event.id) > another)
    return database.read(lambda session: session.scalars(first).one()) or event.at


def last_events(database: Database, request_ids: Sequence[str]) -> dict[str, Event]:
    """Return the newest event of each request that explains its status, by the requests' ids.

    A release says nothing of that.
    """
    which = (col(Event.request_id).in_(request_ids), col(Event.kind) != "released")
    newest = select(func.max(col(Event.id))).where(*which).group_by(col(Event.request_id))

    def work(session: Session) -> dict[str, Event]:
        ids = session.scalars(newest).all()
        return {event.request_id: event for event in session.scalars(select(Event).where(col(Event.id).in_(ids)))}

    return database.read(work)
