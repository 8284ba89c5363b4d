"""Keep addresses that count once, for downloads by a browser.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLE, INDEX = "download_link", "ix_download_link_expires"
MYSQL = ("mysql", "mariadb")
OPTIONS: dict[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in MYSQL
    for option, value in (("engine", "InnoDB"), ("default_charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
}
PATH: Any = sa.LargeBinary().with_variant(mysql.VARBINARY(4096), *MYSQL)
MOMENT: Any = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), *MYSQL)


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("username", sa.String(255)),
        sa.Column("area", sa.String(255), nullable=False),
        sa.Column("path", PATH, nullable=False),
        sa.Column("archive", sa.String(8), nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("taken_by", sa.String(32)),
        **OPTIONS,
    )
    op.create_index(INDEX, TABLE, ["expires_at"])


def downgrade() -> None:
    op.drop_table(TABLE)
