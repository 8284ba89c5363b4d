"""Find a user's open requests without looking at those that ended.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INDEX, TABLE = "ix_staging_request_open", "staging_request"


def upgrade() -> None:
    op.create_index(INDEX, TABLE, ["username", "status"])


def downgrade() -> None:
    op.drop_index(INDEX, TABLE)
