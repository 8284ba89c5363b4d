"""Addresses that count once: what a browser, which carries no token, may download, and until when."""

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
    """Write a link down, and return when it ends; those that have ended are forgotten.

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
    """Return what a link leads to, once: None where there is none, or it was taken, or it has ended.

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
    """Return what a link leads to that still counts, and leave it for whoever takes it; else None."""
    return database.read(
        lambda session: _linked(session.scalars(select(DownloadLink).where(*_is_free(session, digest))).first())
    )


def _is_free(session: Session, digest: str) -> tuple[ColumnElement[bool], ...]:
    """Return what holds for a link that still counts."""
    row = DownloadLink
    return col(row.digest) == digest, col(row.taken_by).is_(None), col(row.expires_at) > now(session)


def _linked(link: DownloadLink | None) -> LinkedObject | None:
    if link is None:
        return None
    return LinkedObject(
        username=link.username, area=link.area, path=link.path, archive=link.archive, is_bounded=link.is_bounded
    )
