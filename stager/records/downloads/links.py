"""Download links, each of which is valid once and for a time, for browsers, which carry no token."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.records.database import Database, new_id, now
from stager.records.tables import DownloadLink


@dataclass(frozen=True, kw_only=True)
class LinkedObject:
    """What a link leads to, and for whom it is read."""

    username: str | None
    area: str
    path: str
    archive: str
    is_bounded: bool = False


def add_link(database: Database, digest: str, linked: LinkedObject, *, seconds: float) -> datetime:
    """Record a link and return when it expires; remove those that have expired.

    Parameters
    ----------
    digest
        The SHA-256 of the link's secret, in hexadecimal: the secret itself is kept nowhere.
    seconds
        How long it counts.

    Raises
    ------
    DatabaseUnavailable
        It is not written down.
    """
    row = DownloadLink

    def work(session: Session) -> datetime:
        moment = now(session)
        if known := session.get(row, digest):  # an earlier try, whose answer was lost
            return known.expires_at
        session.execute(delete(row).where(col(row.expires_at) < moment))
        expires_at = moment + timedelta(seconds=seconds)
        session.add(DownloadLink(digest=digest, expires_at=expires_at, **vars(linked)))
        return expires_at

    return database.write(work)


def take_link(database: Database, digest: str) -> LinkedObject | None:
    """Use a link up and return what it leads to; None if it does not exist, was used or has expired.

    Of those who ask at the same time, by whichever service, one gets it.

    Raises
    ------
    DatabaseUnavailable
        Nobody knows; it may have been taken.
    """
    row, taken_by = DownloadLink, new_id()

    def work(session: Session) -> LinkedObject | None:
        session.execute(update(row).where(*_is_free(session, digest)).values(taken_by=taken_by))
        mine = select(row).where(col(row.digest) == digest, col(row.taken_by) == taken_by)
        return _linked(session.scalars(mine).first())

    return database.write(work)


def look_at_link(database: Database, digest: str) -> LinkedObject | None:
    """Return what a valid link leads to, without using it up; None for any other link."""
    return database.read(
        lambda session: _linked(session.scalars(select(DownloadLink).where(*_is_free(session, digest))).first())
    )


def _is_free(session: Session, digest: str) -> tuple[ColumnElement[bool], ...]:
    """Return the condition for a link that is still valid."""
    row = DownloadLink
    return col(row.digest) == digest, col(row.taken_by).is_(None), col(row.expires_at) > now(session)


def _linked(link: DownloadLink | None) -> LinkedObject | None:
    if link is None:
        return None
    return LinkedObject(
        username=link.username, area=link.area, path=link.path, archive=link.archive, is_bounded=link.is_bounded
    )
