"""The records database: transactions, which are retried until they succeed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import stamina
from sqlalchemy import Connection, Engine, exc, text
from sqlalchemy.orm import Session

from stager.errors import DatabaseUnavailable
from stager.records.database.columns import is_mysql
from stager.records.database.connection import READS, open_engine

T = TypeVar("T")

# Statements that make a connection wait for no lock.
_AT_ONCE = {
    "sqlite": "PRAGMA busy_timeout=0",
    "mysql": "SET SESSION lock_wait_timeout=1, innodb_lock_wait_timeout=1",
}
# Errors of SQLite that may pass: another's lock, a disk that is full or away.
SQLITE_PASSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
}
# Errors of MariaDB that may pass, by its "Error Code Reference": 0 closed, 1020 changed since read,
# 1021 disk full, 1040 and 1203 too many connections, 1053 shutting down, 1152 to
# 1161 network, 1205 lock wait, 1213 deadlock, 1290 read-only while it fails
# over, 1317 interrupted, 1927 killed; from 2000 on the client's: refused, gone, lost.
MYSQL_PASSING = {
    0,
    1020,
    1021,
    1040,
    1053,
    *range(1152, 1162),
    1203,
    1205,
    1213,
    1290,
    1317,
    1927,
    *range(2000, 2060),
    4031,
}

NO_SUCH_TABLE = 1146  # the same list


class Database:
    """The records database.

    Parameters
    ----------
    url
        ``sqlite:///FILE`` or ``mysql+pymysql://USER:PASSWORD@HOST/NAME``.
    patience
        How long a database that is away is waited for, in seconds.

    Notes
    -----
    Nothing is connected before the first transaction.
    """

    def __init__(self, url: str, *, patience: float = 300.0) -> None:
        self.patience = patience
        self.engine = open_engine(url)
        self._rolled_back: Connection | None = None

    def write(self, work: Callable[[Session], T]) -> T:
        """Run a transaction, and return its result once it is committed.

        The work may be run several times, also when it was committed and only
        the answer was lost: it must find out what it has done already.

        Raises
        ------
        DatabaseUnavailable
            The patience ended.
        """
        return self._run(work, self.engine)

    def read(self, work: Callable[[Session], T]) -> T:
        """Run a transaction that only reads, and return its result; it waits for no writer.

        Raises
        ------
        DatabaseUnavailable
            The patience ended.
        """
        return self._run(work, self.engine.execution_options(**{READS: True}))

    @contextmanager
    def rolled_back(self) -> Iterator[None]:
        """Roll back all transactions in the body, and close all connections.

        No lock of somebody else is waited for; on MySQL, which knows no less, for a second.

        Raises
        ------
        DatabaseUnavailable
            It is away, or locked. A file that is not there is not made.

        Notes
        -----
        SQLAlchemy, "Joining a Session into an External Transaction".
        """
        patience, file = self.patience, self.engine.url.database
        if self.engine.dialect.name == "sqlite" and not Path(file or "").exists():
            reason = f"there is no {file}"
            raise DatabaseUnavailable(reason)
        try:
            with ExitStack() as stack:
                self._rolled_back, self.patience = patiently(lambda: self._begin(stack), patience=0.0), 0.0
                yield
        finally:
            self._rolled_back, self.patience = None, patience
            self.close()

    def close(self) -> None:
        """Close all connections; the next transaction connects again."""
        self.engine.dispose()

    def _begin(self, stack: ExitStack) -> Connection:
        """Return a connection that waits for no lock, in a transaction that is rolled back at the end."""
        connection = stack.enter_context(self.engine.connect())
        connection.connection.cursor().execute(_AT_ONCE[self.engine.dialect.name])
        connection.begin()
        return connection

    def _run(self, work: Callable[[Session], T], engine: Engine) -> T:
        bind = self._rolled_back or engine

        def attempt() -> T:
            options = {"expire_on_commit": False, "join_transaction_mode": "create_savepoint"}
            with Session(bind, **options) as session, session.begin():  # type: ignore[arg-type] # as Session names them
                return work(session)

        return patiently(attempt, patience=self.patience)


def patiently(work: Callable[[], T], *, patience: float) -> T:
    """Do some work, retry it while the database is away or locked, and return its result.

    Raises
    ------
    DatabaseUnavailable
        It still was after ``patience`` seconds.
    """
    attempts = stamina.RetryingCaller(
        attempts=None if patience > 0 else 1,
        timeout=patience or None,
        wait_initial=0.05,
        wait_max=2.0,
        wait_jitter=0.2,
    )
    try:
        return attempts(is_passing, work)
    except (exc.OperationalError, exc.InterfaceError, exc.TimeoutError) as error:
        raise DatabaseUnavailable(_reason(error)) from error
    except exc.ProgrammingError as error:
        if error.orig is None or error.orig.args[0] != NO_SUCH_TABLE:
            raise
        raise DatabaseUnavailable(_reason(error)) from error  # the migration comes after the database


def now(session: Session | Connection) -> datetime:
    """Return the time by the database server's clock; on SQLite, this machine's.

    Every time in the records is by this one clock, so nodes whose clocks
    differ still agree on when a lease ends.
    """
    dialect = session.dialect if isinstance(session, Connection) else session.get_bind().dialect
    if not is_mysql(dialect):
        return datetime.now(UTC)
    moment: datetime = session.execute(text("SELECT UTC_TIMESTAMP(6)")).scalar_one()
    return moment.replace(tzinfo=UTC)


def database_time(database: Database) -> datetime:
    """Return the time by the database's clock."""
    return database.read(now)


def is_passing(error: Exception) -> bool:
    """Return whether the transaction may succeed a little later."""
    if isinstance(error, exc.TimeoutError):  # every connection of the pool is in use
        return True
    if not isinstance(error, exc.DBAPIError):
        return False
    if isinstance(error.orig, sqlite3.Error):
        return error.orig.sqlite_errorcode & 0xFF in SQLITE_PASSING
    code = error.orig.args[0] if error.orig and error.orig.args else None
    return error.connection_invalidated or code in MYSQL_PASSING


def _reason(error: exc.SQLAlchemyError) -> str:
    cause = getattr(error, "orig", None) or error
    words = [str(argument) for argument in cause.args if not isinstance(argument, int)]
    return "; ".join(words) or type(cause).__name__
