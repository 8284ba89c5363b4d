"""Keep the pool that a request asks for, and the one that each of its shards was given to.

Both are null of what is there: no pool was asked for, nor was any recorded.

Revision ID: 0013
Revises: 0012
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

COLUMNS = (("staging_request", "pool"), ("shard", "pool"), ("shard", "run_pool"))


def upgrade() -> None:
    for table, column in COLUMNS:
        op.add_column(table, sa.Column(column, sa.String(16)))


def downgrade() -> None:
    for table, column in COLUMNS:
        op.drop_column(table, column)
