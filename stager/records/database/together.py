"""Small transactions of several callers as one: the disk is flushed once for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from stager.records.database.transactions import Database, is_passing, patiently

T = TypeVar("T")


class _Part(Database):
    """A part of a transaction; what works in it takes it for the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def write(self, work: Callable[[Session], T]) -> T:
        """Return what the work returns; what it raises takes back its own part alone."""
        part = Session(self._connection, expire_on_commit=False, join_transaction_mode="create_savepoint")
        with part as session, session.begin():
            return work(session)

    read = write


def together(database: Database, calls: Sequence[Callable[[Database], T]]) -> list[T | Exception]:
    """Return what some functions of the records return or raise, once it is all committed, in one transaction.

    Parameters
    ----------
    calls
        Each is given a database, and may be run several times.

    Raises
    ------
    DatabaseUnavailable
        The database stayed away; nothing was done.
    """

    def attempt() -> list[T | Exception]:
        with database.engine.connect() as connection, connection.begin():
            return [_outcome(call, _Part(connection)) for call in calls]

    return patiently(attempt, patience=database.patience)


def _outcome(call: Callable[[Database], T], part: Database) -> T | Exception:
    try:
        return call(part)
    except Exception as error:
        if (lost := _passing_in(error)) is not None:
            raise lost from error
        return error


def _passing_in(error: BaseException | None) -> Exception | None:
    """Return what passes of an error and of those behind it.

    A deadlock takes the whole transaction back; what is raised then is that
    the savepoint is gone, too.
    """
    while error is not None:
        if isinstance(error, Exception) and is_passing(error):
            return error
        error = error.__context__
    return None
