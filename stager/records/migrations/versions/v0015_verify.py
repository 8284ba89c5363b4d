"""Keep how a request wants its arrival verified.

Revision ID: 0015
Revises: 0014
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("staging_request", sa.Column("verify", sa.String(16)))


def downgrade() -> None:
    op.drop_column("staging_request", "verify")
