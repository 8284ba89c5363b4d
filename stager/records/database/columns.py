"""Column types that are the same on SQLite and MariaDB.

Both would otherwise change what they are given: MariaDB drops microseconds,
folds case and ignores trailing spaces, and neither takes a lone surrogate.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import DateTime, LargeBinary, String, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from stager.checksums import Checksum
from stager.errors import InvalidPath
from stager.models import MAX_PATH_BYTES, Status
from stager.vocabulary import Expand, Pool, Verify

W = TypeVar("W", bound=StrEnum)
# Characters of a text that are kept; a TEXT column holds 65,535 bytes.
TEXT_CHARACTERS = 16_000


def is_mysql(dialect: Dialect) -> bool:
    """Return whether a dialect is MySQL's or MariaDB's."""
    return dialect.name in {"mysql", "mariadb"}


def path_bytes(path: str) -> bytes:
    """Return a path's bytes as the file system has them (PEP 383).

    Raises
    ------
    InvalidPath
        A surrogate stands for no byte.
    """
    try:
        return path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise InvalidPath(path.encode("utf-8", "surrogatepass"), "a surrogate in it stands for no byte") from None


class PathBytes(TypeDecorator[str]):
    """A path as text, stored as its bytes."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return VARBINARY where it exists: it is stored in the row."""
        return dialect.type_descriptor(mysql.VARBINARY(MAX_PATH_BYTES) if is_mysql(dialect) else LargeBinary())

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002, ANN401 - SQLAlchemy's signature
        """Return the value for the database."""
        return None if value is None else path_bytes(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> str | None:  # noqa: ARG002, ANN401 - SQLAlchemy's signature
        """Return the value for the program."""
        return None if value is None else bytes(value).decode("utf-8", "surrogateescape")


class PlaceBytes(PathBytes):
    """An absolute path, kept as its very bytes: that of a storage area, and one in it."""

    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return a type that has room for both."""
        return dialect.type_descriptor(mysql.VARBINARY(2 * MAX_PATH_BYTES) if is_mysql(dialect) else LargeBinary())


class ExactText(PathBytes):
    """A short text by others, which is compared byte by byte."""

    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return a type that can be part of a key."""
        return dialect.type_descriptor(mysql.VARBINARY(255) if is_mysql(dialect) else LargeBinary())


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC with its zone, to the microsecond."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return DATETIME(6) where DATETIME would drop the microseconds."""
        return dialect.type_descriptor(mysql.DATETIME(fsp=6) if is_mysql(dialect) else DateTime())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return the moment in UTC, without a zone, as databases have it."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return the moment with its zone."""
        return None if value is None else value.replace(tzinfo=UTC)


class _WordText(TypeDecorator[W]):
    """One of some words."""

    impl = String(16)
    cache_ok = True
    kind: type[W]

    def process_bind_param(self, value: W | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return the word."""
        return None if value is None else self.kind(value).value

    def process_result_value(self, value: str | None, dialect: Dialect) -> W | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return what the word stands for."""
        return None if value is None else self.kind(value)


class StatusText(_WordText[Status]):
    """A status in its lower-case word."""

    cache_ok = True
    kind = Status


class PoolText(_WordText[Pool]):
    """A pool by its word."""

    cache_ok = True
    kind = Pool


class VerifyText(_WordText[Verify]):
    """How an arrival is verified, by its word."""

    cache_ok = True
    kind = Verify


class ExpandText(_WordText[Expand]):
    """How an item is expanded, by its word."""

    cache_ok = True
    kind = Expand


class ChecksumText(TypeDecorator[Checksum]):
    """A checksum with its algorithm's name; one without, from before there were several, is an Adler-32."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return a type that is long enough; SQLite keeps to no length, and the column to its first one there."""
        return dialect.type_descriptor(String(80 if is_mysql(dialect) else 8))

    def process_bind_param(self, value: Checksum | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return the text."""
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Checksum | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return the checksum of that text."""
        return None if value is None else Checksum.parse(value)


class Sentence(TypeDecorator[str]):
    """A text for people, cut if it is very long, and always valid UTF-8."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return the text with its lone surrogates as escapes."""
        return None if value is None else value[:TEXT_CHARACTERS].encode("utf-8", "backslashreplace").decode("utf-8")
