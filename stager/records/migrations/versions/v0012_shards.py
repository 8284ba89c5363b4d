"""Keep what belongs to a run with a shard of its request; a request that is there has one.

The columns of the run stay with the request too, since versions before this
one go by them: during an upgrade, and after a rollback.

Revision ID: 0012
Revises: 0011
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

MYSQL = ("mysql", "mariadb")
OPTIONS: dict[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in MYSQL
    for option, value in (("engine", "InnoDB"), ("default_charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
}
MOMENT: Any = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), *MYSQL)
TABLE, REQUESTS, FILES = "shard", "staging_request", "staged_file"
INDEXES = (
    ("ix_shard_status", ["status", "username", "method"]),
    ("ix_shard_run", ["run_key"]),
    ("ix_shard_flow_run", ["flow_run_id"]),
)
# What a request that is there tells its one shard.
KEPT = (
    "method",
    "username",
    "priority",
    "created_at",
    "status",
    "error_reason",
    "run_key",
    "flow_run_id",
    "crashes",
    "flow_run_at",
    "started_at",
    "alive_until",
    "finished_at",
)


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column(
            "request_id", sa.String(32), sa.ForeignKey(f"{REQUESTS}.id", name="fk_shard_request"), primary_key=True
        ),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("shard_count", sa.Integer(), nullable=False),
        sa.Column("first_position", sa.Integer(), nullable=False),
        sa.Column("end_position", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("method", sa.String(64), nullable=False),
        sa.Column("username", sa.String(255), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("error_reason", sa.Text()),
        sa.Column("run_key", sa.String(64)),
        sa.Column("flow_run_id", sa.String(64)),
        sa.Column("crashes", sa.Integer(), nullable=False),
        sa.Column("flow_run_at", MOMENT),
        sa.Column("started_at", MOMENT),
        sa.Column("alive_until", MOMENT),
        sa.Column("finished_at", MOMENT),
        **OPTIONS,
    )
    for name, columns in INDEXES:
        op.create_index(name, TABLE, columns)
    _give_each_request_one()


def downgrade() -> None:
    op.drop_table(TABLE)


def _give_each_request_one() -> None:
    """Make the shards; a download has none, nor has what is still arriving, and what ended needs no sizes."""
    names = ("id", "item_count", "is_arriving", *KEPT)
    request = sa.table(REQUESTS, *(sa.column(name) for name in names))
    file = sa.table(FILES, sa.column("request_id"), sa.column("expected_size_bytes"))
    size = sa.select(sa.func.coalesce(sa.func.sum(file.c.expected_size_bytes), 0))
    sizes = size.where(file.c.request_id == request.c.id).scalar_subquery()
    is_open = request.c.status.in_(("submitted", "started"))
    facts = {
        "request_id": request.c.id,
        "number": sa.literal_column("0"),
        "shard_count": sa.literal_column("1"),
        "first_position": sa.literal_column("0"),
        "end_position": request.c.item_count,
        "size_bytes": sa.case((is_open, sizes), else_=0),
        **{name: request.c[name] for name in KEPT},
    }
    shard = sa.table(TABLE, *(sa.column(name) for name in facts))
    there = sa.select(*facts.values()).where(request.c.method != "direct_download", ~request.c.is_arriving)
    op.execute(shard.insert().from_select(list(facts), there))
