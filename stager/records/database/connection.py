"""Connections to SQLite and MariaDB, and how a transaction begins on each."""

from __future__ import annotations

import sqlite3
import time
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPICursor

# Seconds that another's lock is waited for before the transaction
# is given up and run again.
LOCK_WAIT_SECONDS = 10
# Seconds that a transaction may stand still before MariaDB rolls it back: a process that was stopped in the middle of
# one, or whose node is frozen, would keep its rows locked. Whoever wakes too late runs it again. MariaDB alone has
# this ("idle_transaction_timeout"); MySQL reads a comment.
IDLE_TRANSACTION_SECONDS = 20
_LOCK_POLL_SECONDS = 0.002
READS = "stager_reads"
_PREPARE_MYSQL = (
    f"SET SESSION sql_mode='STRICT_ALL_TABLES', innodb_lock_wait_timeout={LOCK_WAIT_SECONDS}"
    f" /*M!100300 , idle_transaction_timeout={IDLE_TRANSACTION_SECONDS} */"
)


def open_engine(url: str) -> Engine:
    """Return an engine for a database, without any open connection yet."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, hide_parameters=True, connect_args={"timeout": LOCK_WAIT_SECONDS})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    return create_engine(
        parsed,
        hide_parameters=True,
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        pool_recycle=1800,
        pool_timeout=LOCK_WAIT_SECONDS,
        max_overflow=15,
        connect_args={
            "charset": "utf8mb4",
            "connect_timeout": 5,
            "read_timeout": 60,
            "write_timeout": 60,
            "init_command": _PREPARE_MYSQL,
        },
    )


def _prepare_sqlite(connection: sqlite3.Connection, _: Any) -> None:  # noqa: ANN401 - SQLAlchemy's signature
    # The driver must not begin transactions by itself: it begins them too late
    # and deferred, which ends in "database is locked" (SQLAlchemy, "Serializable
    # isolation / Savepoints / Transactional DDL" of its SQLite page).
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA foreign_keys=ON")


def _begin_sqlite(connection: Connection) -> None:
    if connection.get_execution_options().get(READS):
        connection.exec_driver_sql("BEGIN")
        return
    cursor = connection.connection.cursor()
    milliseconds = int(cursor.execute("PRAGMA busy_timeout").fetchone()[0])
    cursor.execute("PRAGMA busy_timeout=0")
    try:
        if not _has_begun(cursor, seconds=milliseconds / 1000):
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # and its error, as SQLAlchemy has it
    finally:
        cursor.execute(f"PRAGMA busy_timeout={milliseconds}")


def _has_begun(cursor: DBAPICursor, *, seconds: float) -> bool:
    """Try to begin a transaction that writes; return False while another one writes.

    SQLite's own wait looks less and less often, at last every 100 ms
    (sqliteDefaultBusyCallback in its main.c): whoever came later was often
    served first, and a request stood behind the runs.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            cursor.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                return False
            time.sleep(_LOCK_POLL_SECONDS)
        else:
            return True
    return False
