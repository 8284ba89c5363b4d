"""What all transfers to a server share, whichever run they are of: how many there are at once, and how fast they are.

Runs are processes on several machines, and what they share is this database. A
slot is a lease: its holder keeps it alive with the others, and it ends with whoever was killed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.records.database import Database, now
from stager.records.items import key_of
from stager.records.leases import held_leases
from stager.records.tables import DestinationLease, StagingRequestRow

# How far ahead the bytes that were sent may use up a rate: one that was set too low by mistake counts no longer.
LONGEST_DEBT_SECONDS = 600.0


def take_slot(
    database: Database, server: str, *, slots: int, request_id: str, holder: str, seconds: float
) -> str | None:
    """Take one of a server's slots that nobody living has, and return its key; None where there is none.

    No user has more than half of them, so that one whose end takes bytes slowly leaves something to others.

    Parameters
    ----------
    server
        What the server is called, for every run the same.
    slots
        How many it has.
    holder, seconds
        Who takes it, and for how long, as in `acquire_leases`.
    """
    named = {key_of(name): name for name in (f"{server} transfer {number}" for number in range(slots))}

    def is_due(session: Session, rows: Sequence[DestinationLease]) -> bool:
        moment = now(session)
        taken = [row.request_id for row in rows if row.expires_at > moment]
        return len(taken) < slots and _of_the_same_user(session, taken, request_id) < (slots + 1) // 2

    def take(session: Session) -> str | None:
        rows = _held(session, named)
        if not is_due(session, rows):
            return None
        moment = now(session)
        free = next(row for row in rows if row.expires_at <= moment)
        free.holder, free.request_id = holder, request_id
        free.expires_at = moment + timedelta(seconds=seconds)
        return free.destination_key

    seems_due = database.read(lambda session: is_due(session, session.scalars(_leases(named)).all()))
    return database.write(take) if seems_due else None


def give_slot_back(database: Database, key: str, *, holder: str) -> None:
    """Give a slot back, unless somebody else has it by now."""
    lease = DestinationLease

    def work(session: Session) -> None:
        its = (col(lease.destination_key) == key, col(lease.holder) == holder)
        session.execute(update(lease).where(*its).values(expires_at=now(session)))

    database.write(work)


def use_rate(database: Database, server: str, size_bytes: int, *, bytes_per_second: int) -> float:
    """Use so many bytes of a server's rate, and return for how many seconds their sender is to send no more.

    One sender's time begins where another's ends: together, they are no faster than the rate.
    """
    name = f"{server} rate"

    def work(session: Session) -> float:
        (row,) = _held(session, {key_of(name): name})
        moment = now(session)
        begins = min(max(row.expires_at, moment), moment + timedelta(seconds=LONGEST_DEBT_SECONDS))
        row.expires_at = begins + timedelta(seconds=min(size_bytes / bytes_per_second, LONGEST_DEBT_SECONDS))
        return (row.expires_at - moment).total_seconds()

    return database.write(work)


def _of_the_same_user(session: Session, taken: Sequence[str], request_id: str) -> int:
    """Return how many of some requests, which may be there more than once, are those of a request's user."""
    row = StagingRequestRow
    user = select(col(row.username)).where(col(row.id) == request_id).scalar_subquery()
    theirs = set(session.scalars(select(col(row.id)).where(col(row.id).in_(set(taken)), col(row.username) == user)))
    return sum(one in theirs for one in taken)


def _held(session: Session, named: dict[str, str]) -> list[DestinationLease]:
    """Return the leases of some keys, held until the transaction's end; those that are missing are made, free."""
    free = {"request_id": "", "holder": "", "expires_at": now(session)}
    return [*held_leases(session, {key: {"destination": name, **free} for key, name in named.items()}).values()]


def _leases(keys: Collection[str]) -> Select[tuple[DestinationLease]]:
    lease = DestinationLease
    return select(lease).where(col(lease.destination_key).in_(keys)).order_by(col(lease.destination_key))
