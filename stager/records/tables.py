"""The tables of the records: requests, their shards, files and secrets, leases, events, manifests, download links."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, LargeBinary, Text, UniqueConstraint
from sqlalchemy.dialects import mysql
from sqlmodel import Field, SQLModel

from stager.checksums import Checksum
from stager.models import Status
from stager.records.database.columns import (
    ChecksumText,
    ExactText,
    ExpandText,
    PathBytes,
    PlaceBytes,
    PoolText,
    Sentence,
    StatusText,
    UtcDateTime,
    VerifyText,
)
from stager.vocabulary import Expand, Pool, Verify

# The statuses of what has not ended.
OPEN = (Status.SUBMITTED, Status.STARTED)
# SQLite assigns increasing numbers only in a column of the type INTEGER.
RowId: Any = BigInteger().with_variant(Integer, "sqlite")
Blob: Any = LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")
# The index of the places that are written to, and how much of a path MySQL keeps in it.
DESTINATIONS, DESTINATION_BYTES = "ix_destination_lease_destination", 768
# Column types by field type, for text that we make; text by others has types of its own.
EXACT = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in (("engine", "InnoDB"), ("default_charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
}


class StagingRequestRow(SQLModel, table=True):
    """One staging request and how it ended."""

    __tablename__ = "staging_request"
    __table_args__ = (
        UniqueConstraint("username", "idempotency_key", name="uq_staging_request_key"),
        Index("ix_staging_request_created", "created_at", "id"),
        Index("ix_staging_request_status", "status", "created_at"),
        Index("ix_staging_request_username", "username", "created_at"),
        Index("ix_staging_request_open", "username", "status"),
        Index("ix_staging_request_run", "run_key"),
        Index("ix_staging_request_finished", "method", "status", "finished_at"),
        EXACT,
    )

    id: str = Field(primary_key=True, max_length=32)
    method: str = Field(max_length=64)
    username: str = Field(max_length=255)
    source_area: str = Field(max_length=255)
    destination_area: str = Field(max_length=255)
    on_conflict: str = Field(max_length=16)
    status: Status = Field(sa_type=StatusText)
    error_reason: str | None = Field(None, sa_type=Sentence)
    # The run that is shown, of several shards the first open one's or the last one's: versions before them go by it.
    run_key: str | None = Field(None, max_length=40)
    crashes: int = 0
    flow_run_id: str | None = Field(None, max_length=64)
    acting_as: str | None = Field(None, sa_type=Sentence)
    cancel_requested: bool = False
    idempotency_key: str | None = Field(None, sa_type=ExactText)
    body_digest: str = Field(max_length=64)
    created_at: datetime = Field(sa_type=UtcDateTime)
    flow_run_at: datetime | None = Field(None, sa_type=UtcDateTime)
    started_at: datetime | None = Field(None, sa_type=UtcDateTime)
    # Until when the newest word counts of who works on it: its runs, the sender of a download, who sends its items.
    alive_until: datetime | None = Field(None, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(None, sa_type=UtcDateTime)
    # How the request came in, and the request that it is a retry of.
    origin: str = Field("api", max_length=16)
    retry_of: str | None = Field(None, max_length=32)
    priority: int = 0
    deadline: datetime | None = Field(None, sa_type=UtcDateTime)
    # How long the delivery is wanted for, in seconds, and when that ends.
    lifetime: int | None = None
    expires_at: datetime | None = Field(None, sa_type=UtcDateTime)
    note: str | None = Field(None, sa_type=Sentence)
    # The pool that the caller asks for; null where the rule chooses.
    pool: Pool | None = Field(None, sa_type=PoolText)
    verify: Verify | None = Field(None, sa_type=VerifyText)
    # Whether its items are still arriving: then it is not visible yet.
    is_arriving: bool = False
    item_count: int = 0
    # What was delivered in all, set when it ends.
    bytes_done: int = Field(0, sa_type=BigInteger)
    files_done: int = Field(0, sa_type=BigInteger)
    # Whether it was deleted by the Tape REST API, which does not show it any more.
    forgotten_at: datetime | None = Field(None, sa_type=UtcDateTime)
    # Whether the caller may read only a part of the source area: then no symbolic link to a source is followed.
    is_bounded: bool = False
    # Whether a secret of the user's came with it, or with the request that it is a retry of.
    has_secret: bool = False


class Shard(SQLModel, table=True):
    """Some of a request's items, which one run does, and that run; a small request has one shard."""

    __tablename__ = "shard"
    __table_args__ = (
        Index("ix_shard_status", "status", "username", "method"),
        Index("ix_shard_run", "run_key"),
        Index("ix_shard_flow_run", "flow_run_id"),
        EXACT,
    )

    request_id: str = Field(
        primary_key=True,
        max_length=32,
        sa_column_args=(ForeignKey("staging_request.id", name="fk_shard_request"),),
    )
    number: int = Field(primary_key=True)
    # How many the request has.
    shard_count: int
    # Its items: the position of the first, and the one after the last; and what bytes they say that they have.
    first_position: int
    end_position: int
    size_bytes: int = Field(sa_type=BigInteger)
    # The request's own, which claims are made by.
    method: str = Field(max_length=64)
    username: str = Field(max_length=255)
    priority: int
    pool: Pool | None = Field(None, sa_type=PoolText)
    created_at: datetime = Field(sa_type=UtcDateTime)
    # Its end is told by its items, as a request's is.
    status: Status = Field(sa_type=StatusText)
    error_reason: str | None = Field(None, sa_type=Sentence)
    # The key of the claim, which Prefect knows the run by, and its pool; the run; and how many died over it.
    run_key: str | None = Field(None, max_length=64)
    run_pool: Pool | None = Field(None, sa_type=PoolText)
    flow_run_id: str | None = Field(None, max_length=64)
    crashes: int = 0
    flow_run_at: datetime | None = Field(None, sa_type=UtcDateTime)
    started_at: datetime | None = Field(None, sa_type=UtcDateTime)
    alive_until: datetime | None = Field(None, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(None, sa_type=UtcDateTime)

    @property
    def positions(self) -> range:
        """The positions of its items."""
        return range(self.first_position, self.end_position)


class StagedFile(SQLModel, table=True):
    """One file or directory of a request, and what became of it."""

    __tablename__ = "staged_file"
    __table_args__ = (
        UniqueConstraint("request_id", "position", name="uq_staged_file_position"),
        Index("ix_staged_file_last_copy", "destination_key", "status", "finished_at"),
        Index("ix_staged_file_status", "request_id", "status", "position"),
        # A TEXT, which MySQL indexes only by a prefix: all of a fingerprint's digits.
        Index("ix_staged_file_source", "source_fingerprint", mysql_length=64, mariadb_length=64),
        EXACT,
    )

    id: int = Field(default=None, primary_key=True, sa_type=RowId)
    request_id: str = Field(
        sa_column_args=(ForeignKey("staging_request.id", name="fk_staged_file_request"),), max_length=32
    )
    position: int
    local_path_on_storage: str = Field(sa_type=PathBytes)
    relative_path: str = Field(sa_type=PathBytes)
    destination_key: str = Field(max_length=64)
    status: Status = Field(sa_type=StatusText)
    error_reason: str | None = Field(None, sa_type=Sentence)
    error_type: str | None = Field(None, max_length=64)
    expected_checksum: Checksum | None = Field(None, sa_type=ChecksumText)
    expected_size_bytes: int | None = Field(None, sa_type=BigInteger)
    method: str | None = Field(None, max_length=64)
    kind: str | None = Field(None, max_length=16)
    size_bytes: int | None = Field(None, sa_type=BigInteger)
    file_count: int | None = Field(None, sa_type=BigInteger)
    checksum: str | None = Field(None, max_length=64)
    checksum_algorithm: str | None = Field(None, max_length=16)
    source_fingerprint: str | None = Field(None, sa_type=Sentence)
    destination_fingerprint: str | None = Field(None, sa_type=Sentence)
    # Where its user finds it: the path as they have it mounted or as their notebooks open it, and an address.
    seen_at: str | None = Field(None, sa_type=PlaceBytes)
    link: str | None = Field(None, sa_type=Sentence)
    # Why it could not be made read-only, and why of its bytes only their number could be compared.
    left_writable: str | None = Field(None, sa_type=Sentence)
    left_unverified: str | None = Field(None, sa_type=Sentence)
    bytes_done: int = Field(0, sa_type=BigInteger)
    files_done: int = Field(0, sa_type=BigInteger)
    started_at: datetime | None = Field(None, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(None, sa_type=UtcDateTime)
    cancel_requested: bool = False
    # For the Tape REST API: the lifetime in seconds, the client's metadata, and when the file was released.
    lifetime: int | None = None
    targeted_metadata: str | None = Field(None, sa_type=Text)
    released_at: datetime | None = Field(None, sa_type=UtcDateTime)
    # How its source stands for many items, and that source; how many it became so far, and the position of the last.
    expand: Expand | None = Field(None, sa_type=ExpandText)
    expand_source: str | None = Field(None, sa_type=PathBytes)
    expanded_count: int | None = None
    expanded_to: int | None = None
    # The position of the item that it comes of, where one was expanded.
    expanded_from: int | None = None

    @property
    def source(self) -> str:
        """The path in the source area, which is no single one where it stands for many items."""
        return self.local_path_on_storage if self.expand_source is None else self.expand_source


class DestinationLease(SQLModel, table=True):
    """The one living writer of a destination; or who has one of a server's transfers, or its rate, until when."""

    __tablename__ = "destination_lease"
    __table_args__ = (
        Index("ix_destination_lease_holder", "holder"),
        Index("ix_destination_lease_request", "request_id"),
        Index(DESTINATIONS, "destination", mysql_length=DESTINATION_BYTES, mariadb_length=DESTINATION_BYTES),
        EXACT,
    )

    destination_key: str = Field(primary_key=True, max_length=64)
    # Its absolute path; versions before this one write what the request has.
    destination: str = Field(sa_type=PlaceBytes)
    request_id: str = Field(max_length=32)
    holder: str = Field(max_length=255)
    expires_at: datetime = Field(sa_type=UtcDateTime)


class Event(SQLModel, table=True):
    """Why the state of a request changed."""

    __tablename__ = "event"
    __table_args__ = (Index("ix_event_request", "request_id", "id"), EXACT)

    id: int = Field(default=None, primary_key=True, sa_type=RowId)
    request_id: str = Field(sa_column_args=(ForeignKey("staging_request.id", name="fk_event_request"),), max_length=32)
    at: datetime = Field(sa_type=UtcDateTime)
    kind: str = Field(max_length=32)
    detail: str = Field(sa_type=Sentence)
    # Why, in a word: an error's class, or what the request waits for; and when the wait ends, if that is known.
    cause: str | None = Field(None, max_length=64)
    until: datetime | None = Field(None, sa_type=UtcDateTime)


class ManifestPart(SQLModel, table=True):
    """Some thousand entries of a directory's manifest, as compressed JSON lines."""

    __tablename__ = "manifest_part"
    __table_args__ = (EXACT,)

    file_id: int = Field(
        primary_key=True, sa_type=RowId, sa_column_args=(ForeignKey("staged_file.id", name="fk_manifest_part_file"),)
    )
    part: int = Field(primary_key=True)
    entries: bytes = Field(sa_type=Blob)


class DownloadLink(SQLModel, table=True):
    """A download link, which is valid once, by the digest of its secret."""

    __tablename__ = "download_link"
    __table_args__ = (Index("ix_download_link_expires", "expires_at"), EXACT)

    digest: str = Field(primary_key=True, max_length=64)
    username: str | None = Field(None, max_length=255)
    area: str = Field(max_length=255)
    path: str = Field(sa_type=PathBytes)
    archive: str = Field(max_length=8)
    is_bounded: bool = False
    expires_at: datetime = Field(sa_type=UtcDateTime)
    # A name for the call that used the link; null while it is valid.
    taken_by: str | None = Field(None, max_length=32)


class RequestSecret(SQLModel, table=True):
    """A user's secret, sealed, that came with a request which has not ended, and the process that has it."""

    __tablename__ = "request_secret"
    __table_args__ = (EXACT,)

    request_id: str = Field(
        primary_key=True,
        max_length=32,
        sa_column_args=(ForeignKey("staging_request.id", name="fk_request_secret_request", ondelete="CASCADE"),),
    )
    sealed: bytes = Field(sa_type=LargeBinary, repr=False)
    holder: str | None = Field(None, max_length=255)


# The classes' tables: to write rows by them, not by the classes, takes half the time.
REQUEST, SHARD, FILE, EVENT, LEASE = (
    SQLModel.metadata.tables[name] for name in ("staging_request", "shard", "staged_file", "event", "destination_lease")
)
TABLES = frozenset(
    {
        "staging_request",
        "shard",
        "staged_file",
        "destination_lease",
        "event",
        "manifest_part",
        "download_link",
        "request_secret",
    }
)
