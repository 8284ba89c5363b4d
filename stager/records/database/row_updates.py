"""Updates of many rows by their ids, each with values of its own, in few statements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, Table
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
        alike[(*(name for name in row if name != "id"), "id")].append(row)
    for names, some in alike.items():
        write = _update_joined if is_mysql(connection.dialect) else _update_each
        write(connection, table, names, _as_the_driver_takes(connection, table, names, some))


def _as_the_driver_takes(
    connection: Connection, table: Table, names: Sequence[str], rows: Sequence[Mapping[str, object]]
) -> list[tuple[object, ...]]:
    """Return the values of rows in the names' order: SQLAlchemy takes longer over each than the database does."""
    dialect = connection.dialect
    processors = [table.c[name].type.dialect_impl(dialect).bind_processor(dialect) for name in names]
    columns = (
        [process(row[name]) for row in rows] if process else [row[name] for row in rows]
        for name, process in zip(names, processors, strict=True)
    )
    return list(zip(*columns, strict=True))


def _update_each(connection: Connection, table: Table, names: Sequence[str], rows: list[tuple[object, ...]]) -> None:
    """Give the driver one statement and all rows: SQLite is in this process."""
    *others, last = names
    changes = ", ".join(f"{name} = ?" for name in others)
    connection.exec_driver_sql(f"UPDATE {table.name} SET {changes} WHERE {last} = ?", rows)  # noqa: S608 - names alone


def _update_joined(connection: Connection, table: Table, names: Sequence[str], rows: list[tuple[object, ...]]) -> None:
    """Join the table with the new rows: PyMySQL sends one UPDATE after the other, and waits for each answer."""
    changes = ", ".join(f"old.{name} = new.{name}" for name in names if name != "id")
    first = ", ".join(f"%s AS {name}" for name in names)
    for part in chunks(rows, ROWS_OF_A_STATEMENT):
        others = f" UNION ALL SELECT {', '.join(['%s'] * len(names))}" * (len(part) - 1)
        joined = f"{table.name} AS old JOIN (SELECT {first}{others}) AS new ON old.id = new.id"
        values = tuple(value for row in part for value in row)
        connection.exec_driver_sql(f"UPDATE {joined} SET {changes}", values)  # noqa: S608 - names alone
