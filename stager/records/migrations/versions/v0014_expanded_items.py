"""Keep which items stand for many, what they became so far, and which items come of them.

Revision ID: 0014
Revises: 0013
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

MYSQL = ("mysql", "mariadb")
PATH: Any = sa.LargeBinary().with_variant(mysql.VARBINARY(4096), *MYSQL)

TABLE = "staged_file"
NUMBERS = ("expanded_count", "expanded_to", "expanded_from")


def upgrade() -> None:
    op.add_column(TABLE, sa.Column("expand", sa.String(16), nullable=True))
    op.add_column(TABLE, sa.Column("expand_source", PATH, nullable=True))
    for column in NUMBERS:
        op.add_column(TABLE, sa.Column(column, sa.Integer(), nullable=True))


def downgrade() -> None:
    for column in (*reversed(NUMBERS), "expand_source", "expand"):
        op.drop_column(TABLE, column)
