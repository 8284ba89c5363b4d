"""Keep a user's secret, sealed, beside the request that it came with.

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TABLE, REQUESTS, COLUMN = "request_secret", "staging_request", "has_secret"
OPTIONS: dict[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in (("engine", "InnoDB"), ("default_charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
}


def upgrade() -> None:
    op.add_column(REQUESTS, sa.Column(COLUMN, sa.Boolean(), nullable=False, server_default="0"))
    op.create_table(
        TABLE,
        sa.Column(
            "request_id",
            sa.String(32),
            sa.ForeignKey(f"{REQUESTS}.id", name="fk_request_secret_request", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("holder", sa.String(255)),
        **OPTIONS,
    )


def downgrade() -> None:
    op.drop_table(TABLE)
    op.drop_column(REQUESTS, COLUMN)
