"""How Alembic runs our migrations: on the connection that it is given."""

from __future__ import annotations

from alembic import context
from sqlmodel import SQLModel

from stager.records.tables import TABLES

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    include_name=lambda name, kind, _: kind != "table" or name in TABLES,
    render_as_batch=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
