"""Alembic's environment: it runs our migrations on the connection that it is given."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from alembic import context
from sqlmodel import SQLModel

from stager.records.tables import TABLES

# Columns that nothing reads any more. They stay, since earlier versions write them.
FORMER = {("destination_lease", "epoch")}


def is_ours(name: str | None, kind: str, parents: MutableMapping[Any, str | None]) -> bool:
    """Tell whether something in the database is to be compared with the tables' classes."""
    if kind == "column":
        return (parents["table_name"], name) not in FORMER
    return kind != "table" or name in TABLES


connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=SQLModel.metadata,
    include_name=is_ours,
    render_as_batch=True,
    transaction_per_migration=False,
    transactional_ddl=connection.dialect.name == "sqlite" or None,  # else nobody is alone: MySQL has a lock
)
with context.begin_transaction():
    context.run_migrations()
