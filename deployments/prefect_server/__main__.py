"""Prefect's server with a SQLite that never says "database is locked".

Prefect begins its transactions DEFERRED: one that has read and then writes,
while another has written in between, fails at once with SQLITE_BUSY; no time
to wait is granted, since waiting could not help it. Begun IMMEDIATE, a
transaction waits for its turn (up to Prefect's busy_timeout of 60 s) before it
has read anything. Prefect uses this mode itself, but only where its code asks
for ``with_for_update``; there is no setting.

So this module starts the server as ``prefect server start`` does, with a
database configuration of its own put where Prefect takes it from
(``MODELS_DEPENDENCIES``, the seam that its tests use). With PostgreSQL,
nothing of this is needed: use ``prefect server start``.

Notes
-----
SQLite, "Transactions", https://www.sqlite.org/lang_transaction.html
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import uvicorn
from prefect.server.api.server import create_app
from prefect.server.database.configurations import SQLITE_BEGIN_MODE, AioSqliteConfiguration
from prefect.server.database.dependencies import MODELS_DEPENDENCIES
from prefect.settings import get_current_settings
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


def main() -> None:
    """Serve Prefect's API and pages where its settings say."""
    server = get_current_settings().server
    database_url = server.database.connection_url
    if database_url is None:
        message = "Prefect names no database"
        raise RuntimeError(message)
    MODELS_DEPENDENCIES["database_config"] = ImmediateSqlite(connection_url=database_url.get_secret_value())
    uvicorn.run(
        create_app(final=True),
        host=server.api.host,
        port=server.api.port,
        timeout_keep_alive=server.api.keepalive_timeout,
        timeout_graceful_shutdown=2,
        log_level=server.logging_level.lower(),
    )


if __name__ == "__main__":
    main()
