"""Find a lease by where it is: what lies inside its place, or around it, has the same one writer.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TABLE, COLUMN, INDEX = "destination_lease", "destination", "ix_destination_lease_destination"


def upgrade() -> None:
    _room_for(8192)
    op.create_index(INDEX, TABLE, [COLUMN], mysql_length=768, mariadb_length=768)


def downgrade() -> None:
    op.drop_index(INDEX, TABLE)
    op.execute(sa.text("UPDATE destination_lease SET destination = '' WHERE LENGTH(destination) > 4096"))
    _room_for(4096)


def _room_for(size_bytes: int) -> None:
    if op.get_bind().dialect.name in {"mysql", "mariadb"}:
        op.alter_column(TABLE, COLUMN, type_=mysql.VARBINARY(size_bytes), existing_nullable=False)
