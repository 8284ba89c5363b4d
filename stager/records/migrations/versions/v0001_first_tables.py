"""Make the first tables.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MYSQL = ("mysql", "mariadb")
OPTIONS: dict[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in MYSQL
    for option, value in (("engine", "InnoDB"), ("default_charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
}
ROW_ID: Any = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
PATH: Any = sa.LargeBinary().with_variant(mysql.VARBINARY(4096), *MYSQL)
EXACT_TEXT: Any = sa.LargeBinary().with_variant(mysql.VARBINARY(255), *MYSQL)
BLOB: Any = sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), *MYSQL)
MOMENT: Any = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), *MYSQL)


def upgrade() -> None:
    _staging_request()
    _staged_file()
    _destination_lease()
    _event()
    _manifest_part()


def downgrade() -> None:
    for table in ("manifest_part", "event", "destination_lease", "staged_file", "staging_request"):
        op.drop_table(table)


def _staging_request() -> None:
    op.create_table(
        "staging_request",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("method", sa.String(64), nullable=False),
        sa.Column("username", sa.String(255), nullable=False),
        sa.Column("source_area", sa.String(255), nullable=False),
        sa.Column("destination_area", sa.String(255), nullable=False),
        sa.Column("on_conflict", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("error_reason", sa.Text()),
        sa.Column("run_key", sa.String(40)),
        sa.Column("crashes", sa.Integer, nullable=False),
        sa.Column("flow_run_id", sa.String(64)),
        sa.Column("acting_as", sa.Text()),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("idempotency_key", EXACT_TEXT),
        sa.Column("body_digest", sa.String(64), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("flow_run_at", MOMENT),
        sa.Column("started_at", MOMENT),
        sa.Column("alive_until", MOMENT),
        sa.Column("finished_at", MOMENT),
        sa.UniqueConstraint("username", "idempotency_key", name="uq_staging_request_key"),
        **OPTIONS,
    )
    op.create_index("ix_staging_request_created", "staging_request", ["created_at", "id"])
    op.create_index("ix_staging_request_status", "staging_request", ["status", "created_at"])
    op.create_index("ix_staging_request_username", "staging_request", ["username", "created_at"])
    op.create_index("ix_staging_request_run", "staging_request", ["run_key"])


def _staged_file() -> None:
    op.create_table(
        "staged_file",
        sa.Column("id", ROW_ID, primary_key=True, autoincrement=True),
        sa.Column("request_id", sa.String(32), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("local_path_on_storage", PATH, nullable=False),
        sa.Column("relative_path", PATH, nullable=False),
        sa.Column("destination_key", sa.String(64), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("error_reason", sa.Text()),
        sa.Column("error_type", sa.String(64)),
        sa.Column("expected_checksum", sa.String(8)),
        sa.Column("expected_size_bytes", sa.BigInteger()),
        sa.Column("method", sa.String(64)),
        sa.Column("kind", sa.String(16)),
        sa.Column("size_bytes", sa.BigInteger()),
        sa.Column("file_count", sa.BigInteger()),
        sa.Column("checksum", sa.String(64)),
        sa.Column("checksum_algorithm", sa.String(16)),
        sa.Column("source_fingerprint", sa.Text()),
        sa.Column("destination_fingerprint", sa.Text()),
        sa.Column("bytes_done", sa.BigInteger(), nullable=False),
        sa.Column("files_done", sa.BigInteger(), nullable=False),
        sa.Column("started_at", MOMENT),
        sa.Column("finished_at", MOMENT),
        sa.UniqueConstraint("request_id", "position", name="uq_staged_file_position"),
        sa.ForeignKeyConstraint(["request_id"], ["staging_request.id"], name="fk_staged_file_request"),
        **OPTIONS,
    )
    op.create_index("ix_staged_file_last_copy", "staged_file", ["destination_key", "status", "finished_at"])


def _destination_lease() -> None:
    op.create_table(
        "destination_lease",
        sa.Column("destination_key", sa.String(64), primary_key=True),
        sa.Column("destination", PATH, nullable=False),
        sa.Column("request_id", sa.String(32), nullable=False),
        sa.Column("holder", sa.String(255), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        **OPTIONS,
    )
    op.create_index("ix_destination_lease_holder", "destination_lease", ["holder"])
    op.create_index("ix_destination_lease_request", "destination_lease", ["request_id"])


def _event() -> None:
    op.create_table(
        "event",
        sa.Column("id", ROW_ID, primary_key=True, autoincrement=True),
        sa.Column("request_id", sa.String(32), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["staging_request.id"], name="fk_event_request"),
        **OPTIONS,
    )
    op.create_index("ix_event_request", "event", ["request_id", "id"])


def _manifest_part() -> None:
    op.create_table(
        "manifest_part",
        sa.Column("file_id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("part", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("entries", BLOB, nullable=False),
        sa.PrimaryKeyConstraint("file_id", "part"),
        sa.ForeignKeyConstraint(["file_id"], ["staged_file.id"], name="fk_manifest_part_file"),
        **OPTIONS,
    )
