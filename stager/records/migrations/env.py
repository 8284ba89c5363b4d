"""How Alembic runs our migrations: on the connection that it is given."""

from __future__ import annotations

from alembic import context
from sqlmodel import SQLModel

from stager.records.tables import TABLES

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=SQLModel.metadata,
    include_name=lambda name, kind, _: kind != "table" or name in TABLES,
    render_as_batch=True,
    transaction_per_migration=False,
    transactional_ddl=connection.dialect.name == "sqlite" or None,  # else nobody is alone: MySQL has a lock
)
with context.begin_transaction():
    context.run_migrations()
