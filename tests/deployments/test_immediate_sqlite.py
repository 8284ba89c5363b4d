"""Prefect's SQLite as our server configures it."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from deployments.prefect_server.immediate_sqlite import ImmediateSqlite


def test_garbage_of_a_statement_that_failed_does_not_hold_the_event_loop(tmp_path: Path) -> None:
    asyncio.run(_collect_while_its_connection_waits(f"sqlite+aiosqlite:///{tmp_path}/prefect.db"))


async def _collect_while_its_connection_waits(url: str) -> None:
    engine = await ImmediateSqlite(connection_url=url).engine()
    async with engine.connect() as writer, engine.connect() as waiting:
        await writer.execute(text("CREATE TABLE run (id INTEGER PRIMARY KEY)"))
        await writer.execute(text("CREATE TABLE task (run_id REFERENCES run(id))"))
        failed = await _failed(waiting)
        await writer.exec_driver_sql("BEGIN IMMEDIATE")
        waiter = asyncio.create_task(waiting.exec_driver_sql("INSERT INTO run VALUES (1)"))
        await asyncio.sleep(0.5)  # it waits in a thread, and nobody can ask whether it does already
        failed.clear()
        gc.collect()
        await writer.exec_driver_sql("COMMIT")
        await waiter  # the collector would have held the loop, and so the commit, until "database is locked"
    await engine.dispose()


async def _failed(connection: AsyncConnection) -> list[IntegrityError]:
    """Return how a statement failed that names what is not there; its frames, and so its cursor, live as long."""
    with pytest.raises(IntegrityError, match="FOREIGN KEY constraint failed") as caught:
        await connection.exec_driver_sql("INSERT INTO task VALUES (1)")
    with suppress(Exception):
        await connection.rollback()
    return [caught.value]
