"""The records database: transactions, column types, ids."""

from stager.records.database.async_database import AsyncDatabase, open_records
from stager.records.database.group_commit import GroupCommit
from stager.records.database.ids import new_id
from stager.records.database.statement_size import chunks
from stager.records.database.transactions import Database, database_time, now

__all__ = ["AsyncDatabase", "Database", "GroupCommit", "chunks", "database_time", "new_id", "now", "open_records"]
