"""Let leases be written without an epoch, which nothing reads.

The column stays, since versions before this one write it: during an upgrade,
and after a rollback.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TABLE, COLUMN = "destination_lease", "epoch"


def upgrade() -> None:
    _default_to("1")


def downgrade() -> None:
    _default_to(None)


def _default_to(value: str | None) -> None:
    with op.batch_alter_table(TABLE) as table:
        table.alter_column(COLUMN, existing_type=sa.BigInteger(), existing_nullable=False, server_default=value)
