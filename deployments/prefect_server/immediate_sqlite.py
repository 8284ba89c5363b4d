"""A configuration of Prefect's SQLite that never fails with "database is locked".

Prefect begins its transactions DEFERRED: one that has read and then writes,
while another has written in between, fails at once with SQLITE_BUSY; no time
to wait is granted, since waiting could not help it. Begun IMMEDIATE, a
transaction waits for its turn (up to Prefect's busy_timeout of 60 s) before it
has read anything. Prefect uses this mode itself, but only where its code asks
for ``with_for_update``; there is no setting.

A statement that fails leaves its cursor open, and Python's garbage collector
frees it some time later, in the thread of the event loop. Freeing it takes the
mutex of its connection, which by then may wait for its turn, in a thread of its
own and for up to 60 s; whoever has the turn cannot end it while the event loop
stands still. So cursors are closed where their statements fail. Events of a
flow run that was deleted fail in numbers, by their foreign keys.

Notes
-----
SQLite, "Transactions", https://www.sqlite.org/lang_transaction.html
SQLite, "Using SQLite In Multi-Threaded Applications", https://www.sqlite.org/threadsafe.html
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Self

from prefect.server.database.configurations import SQLITE_BEGIN_MODE, AioSqliteConfiguration
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, AsyncSessionTransaction


class _ClosingCursor(sqlite3.Cursor):
    """A cursor that closes itself when its statement fails."""

    def execute(self, sql: str, parameters: Any = (), /) -> Self:  # noqa: ANN401 - as in sqlite3
        try:
            return super().execute(sql, parameters)
        except sqlite3.Error:
            self.close()
            raise

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Self:
        try:
            return super().executemany(sql, parameters)
        except sqlite3.Error:
            self.close()
            raise


class _Connection(sqlite3.Connection):
    def cursor(self, factory: None = None) -> _ClosingCursor:  # type: ignore[override] # nobody asks for another
        del factory
        return super().cursor(_ClosingCursor)


def _use_closing_cursors(_: object, __: object, ___: object, options: dict[str, Any]) -> None:
    options["factory"] = _Connection


class ImmediateSqlite(AioSqliteConfiguration):
    """Prefect's SQLite configuration in which every transaction takes its turn before it reads."""

    async def engine(self) -> AsyncEngine:
        """Return Prefect's engine, whose cursors are closed when they fail."""
        engine = await super().engine()
        if not event.contains(engine.sync_engine, "do_connect", _use_closing_cursors):
            event.listen(engine.sync_engine, "do_connect", _use_closing_cursors)
        return engine

    @asynccontextmanager
    async def begin_transaction(
        self,
        session: AsyncSession,
        with_for_update: bool = True,  # noqa: FBT001, FBT002 - Prefect's signature
    ) -> AsyncGenerator[AsyncSessionTransaction, None]:
        """Enter a transaction that may write at any time without failing.

        It is begun at once, and only it: another session that is opened in the
        body (as where a queue is paused) would wait for this one for good.
        """
        del with_for_update
        async with super().begin_transaction(session, with_for_update=True) as transaction:
            await session.connection()
            mode = SQLITE_BEGIN_MODE.set(None)
            try:
                yield transaction
            finally:
                SQLITE_BEGIN_MODE.reset(mode)
