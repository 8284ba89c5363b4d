"""What all transfers to a server share, whichever run they are of: how many there are at once, and how fast they are.

Runs are processes on several machines, and what they share is this database. A
slot is a lease: its holder keeps it alive with the others, and it ends with whoever was killed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.records.database import Database, now
from stager.records.database.columns import is_mysql
from stager.records.items import key_of
from stager.records.tables import DestinationLease

# How far ahead the bytes that were sent may use up a rate: one that was set too low by mistake counts no longer.
LONGEST_DEBT_SECONDS = 600.0


def take_slot(
    database: Database, server: str, *, slots: int, request_id: str, holder: str, seconds: float
) -> str | None:
    """Take one of a server's slots that nobody living has, and return its key; None where there is none.

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
    lease = DestinationLease

    def is_any_free(session: Session) -> bool:
        lives = (col(lease.destination_key).in_(named), col(lease.expires_at) > now(session))
        return session.scalar(select(func.count()).select_from(lease).where(*lives)) != slots

    def take(session: Session) -> str | None:
        rows = _held(session, named)
        moment = now(session)
        for row in rows:
            if row.expires_at <= moment:
                row.holder, row.request_id = holder, request_id
                row.expires_at = moment + timedelta(seconds=seconds)
                return row.destination_key
        return None

    return database.write(take) if database.read(is_any_free) else None


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


def _held(session: Session, named: dict[str, str]) -> Sequence[DestinationLease]:
    """Return the leases of some keys, held until the transaction's end; those that are missing are made, free."""
    lease = DestinationLease
    its = select(lease).where(col(lease.destination_key).in_(named)).order_by(col(lease.destination_key))
    its = its.with_for_update().execution_options(populate_existing=True)
    rows = session.scalars(its).all()
    if missing := named.keys() - {row.destination_key for row in rows}:
        free = {"request_id": "", "holder": "", "expires_at": now(session)}
        made = [{"destination_key": key, "destination": named[key], **free} for key in sorted(missing)]
        ignore = "IGNORE" if is_mysql(session.get_bind().dialect) else "OR IGNORE"
        session.execute(insert(lease).prefix_with(ignore), made)
        rows = session.scalars(its).all()
    return rows
