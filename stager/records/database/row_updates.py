"""Updates of many rows by their ids, each with values of its own, in few statements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from sqlalchemy import BindParameter, Connection, Table, bindparam, update
from sqlalchemy.orm import Session

from stager.records.database.columns import is_mysql
from stager.records.database.statement_size import chunks

# Rows of one statement on MariaDB: with two texts of the longest kind in each they stay below the packet that its
# server takes by default, 16 MiB ("max_allowed_packet").
ROWS_OF_A_STATEMENT = 100


def update_rows(session: Session, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Write columns of rows, each named by its ``id``; a row that is not there is left out."""
    connection = session.connection()
    alike: dict[tuple[str, ...], list[Mapping[str, object]]] = defaultdict(list)
    for row in rows:
        alike[tuple(row)].append(row)
    for names, some in alike.items():
        if not is_mysql(connection.dialect):
            _update_each(connection, table, names, some)
            continue
        for part in chunks(some, ROWS_OF_A_STATEMENT):
            _update_joined(connection, table, names, part)


def _update_each(
    connection: Connection, table: Table, names: Sequence[str], rows: Sequence[Mapping[str, object]]
) -> None:
    """Give the driver one statement and all rows: SQLite is in this process."""
    values: dict[str, BindParameter[object]] = {name: bindparam(f"new_{name}") for name in names if name != "id"}
    given = [{f"new_{name}": value for name, value in row.items()} for row in rows]
    connection.execute(update(table).where(table.c.id == bindparam("new_id")).values(values), given)


def _update_joined(
    connection: Connection, table: Table, names: Sequence[str], rows: Sequence[Mapping[str, object]]
) -> None:
    """Join the table with the new rows: PyMySQL sends one UPDATE after the other, and waits for each answer."""
    dialect = connection.dialect
    processors = [table.c[name].type.dialect_impl(dialect).bind_processor(dialect) for name in names]
    first = ", ".join(f"%s AS {name}" for name in names)
    others = f" UNION ALL SELECT {', '.join(['%s'] * len(names))}" * (len(rows) - 1)
    changes = ", ".join(f"old.{name} = new.{name}" for name in names if name != "id")
    values = tuple(
        process(row[name]) if process else row[name]
        for row in rows
        for name, process in zip(names, processors, strict=True)
    )
    joined = f"{table.name} AS old JOIN (SELECT {first}{others}) AS new ON old.id = new.id"
    connection.exec_driver_sql(f"UPDATE {joined} SET {changes}", values)  # noqa: S608 - names alone
