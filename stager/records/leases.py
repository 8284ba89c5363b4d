"""Leases: one live writer a destination, and of what lies inside it or around it.

A lease ends at a moment of the database's clock. Whoever finds it ended may
take it over. A writer confirms that it is the holder still right before it
publishes, so one that was overtaken publishes nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, delete, func, insert, select, update
from sqlalchemy.orm import Mapped, Session
from sqlmodel import col

from stager.records.database import Database, chunks, now
from stager.records.database.columns import is_mysql
from stager.records.events import note_event
from stager.records.nesting import nested_leases
from stager.records.tables import LEASE, DestinationLease, StagedFile

# By how much the time of a lease may have begun before it was had: longer, and somebody was waited for.
WAITED_FOR = timedelta(milliseconds=200)


@dataclass(frozen=True, kw_only=True)
class BusyDestination:
    """A destination that another living writer holds.

    Attributes
    ----------
    place
        The place inside the destination or around it that it is held by, None where it is the destination itself.
    """

    file: StagedFile
    holder: str
    request_id: str
    expires_at: datetime
    place: str | None = None


def acquire_leases(
    database: Database,
    files: Sequence[StagedFile],
    *,
    holder: str,
    seconds: float,
    places: Mapping[str, str] | None = None,
) -> list[BusyDestination]:
    """Take the destinations of files that are free, in one transaction, and return the others.

    What the holder has already is extended; what has ended is taken over.

    Parameters
    ----------
    files
        Files whose destinations are to be written.
    holder
        Who writes: a name of this process and run that nobody else has, also
        not a second process that was given the same flow run.
    seconds
        How long the lease lives unrenewed.
    places
        The destinations' absolute paths, by their keys. One that has none here
        is held against nobody inside it or around it.

    Returns
    -------
    list[BusyDestination]
        The files whose destinations, or something inside or around these,
        another living writer holds; of two files with one destination, the second.

    Raises
    ------
    DatabaseUnavailable
        The database stayed away.
    """
    # Always in the order of the keys: two batches that overlap cannot block each other.
    first = {file.destination_key: file for file in reversed(files)}
    ordered = [first[key] for key in sorted(first)]
    twins = [file for file in files if first[file.destination_key] is not file]

    def work(session: Session) -> list[BusyDestination]:
        terms = _Terms(holder, seconds, places or {})
        busy = [one for some in chunks(ordered) for one in _acquire(session, some, terms)]
        until = now(session) + timedelta(seconds=seconds)
        return busy + [
            BusyDestination(file=file, holder=holder, request_id=file.request_id, expires_at=until) for file in twins
        ]

    return database.write(work)


def renew_leases(database: Database, *, holder: str, seconds: float) -> int:
    """Extend all leases of a holder, and return their number."""
    lease = DestinationLease

    def work(session: Session) -> int:
        expires_at = now(session) + timedelta(seconds=seconds)
        renewed = session.execute(update(lease).where(col(lease.holder) == holder).values(expires_at=expires_at))
        return int(renewed.rowcount)  # type: ignore[attr-defined] # an UPDATE's result has it

    return database.write(work)


def confirm_leases(database: Database, files: Sequence[StagedFile], *, holder: str, seconds: float) -> list[StagedFile]:
    """Check that leases still are the holder's, right before the destinations are published; return those that are not.

    They are extended where less than half of the time is left: then, nothing
    that happens between the look and the rename takes long enough to end one.

    Raises
    ------
    DatabaseUnavailable
        The database stayed away.
    """
    lease = DestinationLease
    keys = {file.destination_key for file in files}

    def long_enough(session: Session) -> set[str]:
        enough = now(session) + timedelta(seconds=seconds / 2)
        is_ours = (col(lease.holder) == holder, col(lease.expires_at) > enough)
        return {
            key
            for some in chunks(sorted(keys))
            for key in session.scalars(
                select(col(lease.destination_key)).where(col(lease.destination_key).in_(some), *is_ours)
            )
        }

    def extended(session: Session) -> set[str]:
        until = now(session) + timedelta(seconds=seconds)
        ours = [one for some in chunks(short) for one in _locked(session, some).values() if one.holder == holder]
        for one in ours:
            one.expires_at = until
        return {one.destination_key for one in ours}

    confirmed = database.read(long_enough)
    if short := sorted(keys - confirmed):
        confirmed |= database.write(extended)
    return [file for file in files if file.destination_key not in confirmed]


def leased_among(database: Database, beginnings: Collection[str], *, but_by: str) -> set[str]:
    """Return those beginnings of keys, all as long, that a destination has which a living writer but that one has."""
    lease = DestinationLease
    beginning = func.substr(col(lease.destination_key), 1, max(map(len, beginnings), default=0))

    def work(session: Session) -> set[str]:
        lives = (col(lease.holder) != but_by, col(lease.expires_at) > now(session))
        asked = (select(beginning).where(beginning.in_(some), *lives) for some in chunks(sorted(beginnings)))
        return {found for statement in asked for found in session.scalars(statement)}

    return database.read(work)


def release_leases(database: Database, *, holder: str) -> None:
    """Release all leases of a holder."""
    lease = DestinationLease

    def work(session: Session) -> None:
        session.execute(delete(lease).where(col(lease.holder) == holder))

    database.write(work)


def lease_in(session: Session, key: str) -> DestinationLease | None:
    """Return a lease, locked until the end of the transaction."""
    return session.get(DestinationLease, key, with_for_update=True)


def new_holder(flow_run_id: str) -> str:
    """Return a name for a process of a flow run, as a holder of leases."""
    return f"{flow_run_id}/{uuid.uuid4().hex[:8]}"


def is_held_by_run(flow_run_id: str | Mapped[str | None]) -> ColumnElement[bool]:
    """Return the condition that a lease's holder is a process of a flow run, given its id or the column that has it."""
    return col(DestinationLease.holder).like(flow_run_id + "/%")


class _Terms(NamedTuple):
    holder: str
    seconds: float
    places: Mapping[str, str]

    def place(self, file: StagedFile) -> str | None:
        return self.places.get(file.destination_key)

    def row(self, file: StagedFile, until: datetime) -> dict[str, object]:
        destination = self.place(file) or file.relative_path
        return {"destination": destination, "request_id": file.request_id, "holder": self.holder, "expires_at": until}


def _acquire(session: Session, files: Sequence[StagedFile], terms: _Terms) -> list[BusyDestination]:
    asked_at = now(session)
    until = asked_at + timedelta(seconds=terms.seconds)
    wanted = {file.destination_key: terms.row(file, until) for file in files}
    leases = _locked(session, wanted)
    missing = wanted.keys() - leases.keys()
    made = _make(session, wanted, missing) if missing else 0
    moment = now(session)
    if (is_late := moment - asked_at > WAITED_FOR) or made < len(missing):  # those that were made are as wanted
        leases = _locked(session, wanted)
    if is_late:
        until = moment + timedelta(seconds=terms.seconds)
    places = {*filter(None, map(terms.place, files))}
    nested = nested_leases(session, places, holder=terms.holder, request_id=files[0].request_id)
    busy = []
    for file in files:
        lease, around = leases.get(file.destination_key), nested.get(terms.place(file) or "", ())
        there = around if lease is None else (lease, *around)
        others = (one for one in there if one.holder != terms.holder and one.expires_at > moment)
        if (living := next(others, None)) is None:
            ended = [one for one in around if one.destination_key not in leases]
            _take(session, lease, ended, file=file, wanted=terms.row(file, until))
            continue
        busy.append(_busy(file, living, place=None if living is lease else living.destination))
        if lease is None or lease.holder == terms.holder:  # who waits for what is around keeps nobody waiting
            session.execute(delete(LEASE).where(LEASE.c.destination_key == file.destination_key))
    return busy


def _busy(file: StagedFile, lease: DestinationLease, *, place: str | None) -> BusyDestination:
    return BusyDestination(
        file=file, holder=lease.holder, request_id=lease.request_id, expires_at=lease.expires_at, place=place
    )


def _take(
    session: Session,
    lease: DestinationLease | None,
    ended: Sequence[DestinationLease],
    *,
    file: StagedFile,
    wanted: Mapping[str, object],
) -> None:
    """Make a lease the writer's, where it was not made so, and take away those in it or around it that have ended."""
    for one in filter(None, (lease, *ended)):
        if one.holder != wanted["holder"]:
            detail = f"taken over from {one.holder} (request {one.request_id}), whose time ended {one.expires_at}"
            note_event(session, file.request_id, kind="lease_taken_over", detail=detail)
            if one is not lease:
                session.delete(one)
    for name, value in wanted.items() if lease else ():
        if getattr(lease, name) != value:
            setattr(lease, name, value)


def held_leases(session: Session, wanted: Mapping[str, Mapping[str, object]]) -> dict[str, DestinationLease]:
    """Return leases by their keys and in the keys' order, locked until the end of the transaction.

    One that is missing is made; where somebody was faster, theirs stays.

    Parameters
    ----------
    wanted
        The other columns of one that is to be made, by its key.
    """
    leases = _locked(session, wanted)
    if missing := wanted.keys() - leases.keys():
        _make(session, wanted, missing)
        leases = _locked(session, wanted)
    return leases


def _make(session: Session, wanted: Mapping[str, Mapping[str, object]], keys: Collection[str]) -> int:
    """Make the leases of some keys where nobody was faster, and return how many were made."""
    ignore = "IGNORE" if is_mysql(session.get_bind().dialect) else "OR IGNORE"
    rows = [{"destination_key": key, **wanted[key]} for key in sorted(keys)]
    statement = insert(LEASE).prefix_with(ignore).execution_options(preserve_rowcount=True)
    return session.connection().execute(statement, rows).rowcount


def _locked(session: Session, keys: Collection[str]) -> dict[str, DestinationLease]:
    lease = DestinationLease
    rows = session.scalars(
        select(lease)
        .where(col(lease.destination_key).in_(keys))
        .order_by(col(lease.destination_key))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return {row.destination_key: row for row in rows}
