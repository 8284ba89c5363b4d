"""Add what a request says besides its items, and what explains where it stands.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOMENT: Any = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
COLUMNS: dict[str, tuple[tuple[str, Any, str | None], ...]] = {  # name, type, the default of one that has none
    "staging_request": (
        ("origin", sa.String(16), "api"),
        ("retry_of", sa.String(32), None),
        ("priority", sa.Integer(), "0"),
        ("deadline", MOMENT, None),
        ("lifetime", sa.Integer(), None),
        ("expires_at", MOMENT, None),
        ("note", sa.Text(), None),
        ("is_arriving", sa.Boolean(), "0"),
        ("item_count", sa.Integer(), "0"),
        ("bytes_done", sa.BigInteger(), "0"),
        ("files_done", sa.BigInteger(), "0"),
        ("forgotten_at", MOMENT, None),
    ),
    "staged_file": (
        ("cancel_requested", sa.Boolean(), "0"),
        ("lifetime", sa.Integer(), None),
        ("targeted_metadata", sa.Text(), None),
        ("released_at", MOMENT, None),
    ),
    "event": (
        ("cause", sa.String(64), None),
        ("until", MOMENT, None),
    ),
}
TOTALS = ("item_count", "bytes_done", "files_done")
INDEXES = (
    ("ix_staging_request_finished", "staging_request", ["method", "status", "finished_at"]),
    ("ix_staged_file_status", "staged_file", ["request_id", "status", "position"]),
)


def upgrade() -> None:
    for table, columns in COLUMNS.items():
        for name, kind, default in columns:
            op.add_column(table, sa.Column(name, kind, nullable=default is None, server_default=default))
    for name, table, columns_of_index in INDEXES:
        op.create_index(name, table, columns_of_index)
    _set_totals()


def downgrade() -> None:
    for name, table, _ in INDEXES:
        op.drop_index(name, table)
    for table, columns in COLUMNS.items():
        for name, *_ in columns:
            op.drop_column(table, name)


def _set_totals() -> None:
    """Count up what the requests that are there already have."""
    request, file = _table("staging_request", "id"), _table("staged_file", "request_id")
    totals = {"item_count": sa.func.count(), **{name: sa.func.sum(file.c[name]) for name in TOTALS[1:]}}
    for name, total in totals.items():
        of_items = sa.select(sa.func.coalesce(total, 0)).where(file.c.request_id == request.c.id).scalar_subquery()
        op.execute(request.update().values({name: of_items}))


def _table(name: str, key: str) -> sa.TableClause:
    return sa.table(name, *(sa.column(column) for column in (key, *TOTALS)))
