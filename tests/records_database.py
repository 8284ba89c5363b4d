"""New records for tests, as the migrations leave them: these are run once, and what they make is copied."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from sqlalchemy import URL, Connection, create_engine, inspect, make_url, text

from stager.records.migrate import migrate

TEMPLATE = "migrated"


def give_records(url: str) -> None:
    """Bring a database up to date as ``migrate`` does, which takes seconds where a new one is MariaDB's."""
    place = make_url(url)
    engine = create_engine(place)
    try:
        with engine.connect() as connection:
            is_new = not inspect(connection).get_table_names()
            if is_new and place.get_backend_name() != "sqlite":
                _copy(connection, place)
    finally:
        engine.dispose()
    if not is_new:
        migrate(url)
    elif place.get_backend_name() == "sqlite":
        Path(str(place.database)).write_bytes(_migrated_file())


@cache
def _migrated_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        migrate(f"sqlite:///{folder}/records.db")
        return Path(folder, "records.db").read_bytes()


def _copy(connection: Connection, place: URL) -> None:
    """Make the tables of a database that was migrated on the same server."""
    connection.execute(text(f"CREATE DATABASE IF NOT EXISTS {TEMPLATE} CHARACTER SET utf8mb4"))
    tables = inspect(connection).get_table_names(schema=TEMPLATE)
    if not tables:
        migrate(place.set(database=TEMPLATE).render_as_string(hide_password=False))
        tables = inspect(connection).get_table_names(schema=TEMPLATE)
    connection.execute(text("SET foreign_key_checks = 0"))  # they are made in any order
    for table in tables:
        connection.exec_driver_sql(connection.execute(text(f"SHOW CREATE TABLE {TEMPLATE}.{table}")).one()[1])
    connection.execute(text(f"INSERT INTO alembic_version SELECT * FROM {TEMPLATE}.alembic_version"))
    connection.commit()
