"""Migration of the database's tables to the current schema."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from stager.errors import DatabaseUnavailable
from stager.records.database import Database
from stager.records.database.columns import is_mysql
from stager.records.database.transactions import patiently

MIGRATIONS = Path(__file__).with_name("migrations")
# The lock under which migrations run one at a time; the server drops it with
# the connection.
LOCK = "stager_migration"


def migrate(url: str, *, patience: float = 60.0) -> None:
    """Bring the tables up to date; safe when several processes start at once.

    Parameters
    ----------
    url
        The records database.
    patience
        How long a database that is not up yet is waited for, in seconds.

    Raises
    ------
    DatabaseUnavailable
        It did not come up.
    """
    database = Database(url, patience=patience)

    def work() -> None:
        with database.engine.connect() as connection, _alone(connection, patience):
            command.upgrade(alembic_config(connection), "head")
            connection.commit()

    try:
        patiently(work, patience=patience)
    finally:
        database.close()


def alembic_config(connection: Connection) -> Config:
    """Return what Alembic's commands need to work on a connection."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


@contextmanager
def _alone(connection: Connection, patience: float) -> Iterator[None]:
    """Hold the migrations' lock; on SQLite, the transaction is the lock."""
    if not is_mysql(connection.dialect):
        yield
        return
    name = {"name": f"{LOCK}.{connection.engine.url.database}"[:64]}
    if not connection.execute(text("SELECT GET_LOCK(:name, :wait)"), {**name, "wait": max(patience, 0)}).scalar():
        reason = "another process is migrating it"
        raise DatabaseUnavailable(reason)
    try:
        yield
    finally:
        if not connection.invalidated:
            connection.execute(text("SELECT RELEASE_LOCK(:name)"), name)
