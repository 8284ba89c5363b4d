"""Keep why something that was delivered could not be made read-only, where its place has no modes of ours.

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("staged_file", sa.Column("left_writable", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("staged_file", "left_writable")
