"""Find what was read of a source by its fingerprint.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NAME, TABLE = "ix_staged_file_source", "staged_file"


def upgrade() -> None:
    # A fingerprint is 64 hexadecimal digits in a TEXT, which MySQL indexes only by a prefix.
    op.create_index(NAME, TABLE, ["source_fingerprint"], mysql_length=64, mariadb_length=64)


def downgrade() -> None:
    op.drop_index(NAME, TABLE)
