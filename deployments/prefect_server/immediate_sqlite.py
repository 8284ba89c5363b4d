"""A SQLite of Prefect's that never says "database is locked".

Prefect begins its transactions DEFERRED: one that has read and then writes,
while another has written in between, fails at once with SQLITE_BUSY; no time
to wait is granted, since waiting could not help it. Begun IMMEDIATE, a
transaction waits for its turn (up to Prefect's busy_timeout of 60 s) before it
has read anything. Prefect uses this mode itself, but only where its code asks
for ``with_for_update``; there is no setting.

Notes
-----
SQLite, "Transactions", https://www.sqlite.org/lang_transaction.html
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from prefect.server.database.configurations import SQLITE_BEGIN_MODE, AioSqliteConfiguration
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction


class ImmediateSqlite(AioSqliteConfiguration):
    """Prefect's SQLite configuration in which every transaction takes its turn before it reads."""

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
