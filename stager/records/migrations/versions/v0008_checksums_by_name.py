"""Keep the checksum that a request gives with its algorithm's name.

What is there already has no name, and is an Adler-32.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLE, COLUMN = "staged_file", "expected_checksum"


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":  # which keeps to no length
        op.alter_column(TABLE, COLUMN, existing_type=sa.String(8), type_=sa.String(80), existing_nullable=True)


def downgrade() -> None:
    """Leave the column: versions before this one read and write it as it is."""
