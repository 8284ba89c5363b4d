"""Keep where users find what was staged, and why something of it could not be made read-only, or be verified.

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TABLE = "staged_file"


def upgrade() -> None:
    is_mysql = op.get_bind().dialect.name in {"mysql", "mariadb"}
    path: sa.types.TypeEngine[bytes] = mysql.VARBINARY(8192) if is_mysql else sa.LargeBinary()
    op.add_column(TABLE, sa.Column("seen_at", path, nullable=True))
    op.add_column(TABLE, sa.Column("link", sa.Text(), nullable=True))
    op.add_column(TABLE, sa.Column("left_writable", sa.Text(), nullable=True))
    op.add_column(TABLE, sa.Column("left_unverified", sa.Text(), nullable=True))


def downgrade() -> None:
    for column in ("left_unverified", "left_writable", "link", "seen_at"):
        op.drop_column(TABLE, column)
