"""Manifests of delivered directories, written and read as streams of up to a million files."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.errors import DatabaseUnavailable, LeaseLost
from stager.models import Status
from stager.records.database import Database
from stager.records.leases import lease_in
from stager.records.tables import ManifestPart, StagedFile
from stager.vocabulary import ManifestEntry

# Entries in a part: some 100 KiB compressed, some MiB while it is read.
ENTRIES_IN_PART = 4096


class ManifestWriter:
    """Takes a manifest's entries one by one, and records them a part at a time."""

    def __init__(self, database: Database, file: StagedFile, *, holder: str | None) -> None:
        self._database = database
        self._file = file
        self._holder = holder
        self._lines: list[str] = []
        self._parts = 0

    def __call__(self, entry: ManifestEntry) -> None:
        """Add an entry."""
        self._lines.append(json.dumps(entry))
        if len(self._lines) >= ENTRIES_IN_PART:
            self.flush()

    def clear(self) -> None:
        """Remove what an earlier try recorded."""
        self._database.write(self._clear)

    def flush(self) -> None:
        """Record the buffered entries."""
        if not self._lines:
            return
        # PyMySQL sends a statement as text; ASCII keeps lone surrogates as escapes.
        entries = zlib.compress("\n".join(self._lines).encode("ascii"))
        self._database.write(lambda session: self._put(session, entries))
        self._parts += 1
        self._lines.clear()

    def _clear(self, session: Session) -> None:
        self._check_lease(session)
        session.execute(delete(ManifestPart).where(col(ManifestPart.file_id) == self._file.id))

    def _put(self, session: Session, entries: bytes) -> None:
        self._check_lease(session)
        part = ManifestPart
        # Delete first: the same part may have been written when only the answer was lost.
        session.execute(delete(part).where(col(part.file_id) == self._file.id, col(part.part) == self._parts))
        session.execute(insert(part).values(file_id=self._file.id, part=self._parts, entries=entries))

    def _check_lease(self, session: Session) -> None:
        if self._holder is None:
            return
        lease = lease_in(session, self._file.destination_key)
        if lease is None or lease.holder != self._holder:
            raise LeaseLost(self._file.relative_path)


@contextmanager
def manifest_writer(database: Database, file: StagedFile, *, holder: str | None = None) -> Iterator[ManifestWriter]:
    """Yield a writer of a directory's manifest, which replaces that of an earlier try.

    Call it with each entry. Memory stays flat. When the body fails, no
    manifest is left.

    Parameters
    ----------
    file
        The directory's record.
    holder
        Whose lease the destination must be under while this writes.

    Raises
    ------
    LeaseLost
        The destination is not the holder's any more.
    DatabaseUnavailable
        The database stayed away.
    """
    writer = ManifestWriter(database, file, holder=holder)
    writer.clear()
    try:
        yield writer
        writer.flush()
    except BaseException:
        with suppress(DatabaseUnavailable, LeaseLost):
            writer.clear()
        raise


def manifest_of(database: Database, file_id: int) -> Iterator[ManifestEntry]:
    """Yield the entries of a directory's manifest, in the order in which they were recorded."""
    part = 0
    while entries := manifest_part(database, file_id, part):
        yield from entries
        part += 1


def item_with_manifest(database: Database, file: StagedFile) -> int:
    """Return the id of the item that has the manifest of a directory.

    Its own; of one that was there already and was not read for that, that of the first item of the very same source.
    """
    if file.status is not Status.SKIPPED or file.source_fingerprint is None:
        return file.id
    of, part = StagedFile, ManifestPart
    is_whole = col(of.status).in_((Status.COMPLETED, Status.SKIPPED))
    same_source = (col(of.source_fingerprint) == file.source_fingerprint, is_whole)
    with_manifest = select(col(part.file_id)).where(col(part.part) == 0)
    own = with_manifest.where(col(part.file_id) == file.id)
    others = with_manifest.join(of, col(of.id) == col(part.file_id)).where(*same_source).order_by(col(of.id)).limit(1)
    return database.read(lambda session: session.scalar(own) or session.scalar(others)) or file.id


def manifest_part(database: Database, file_id: int, part: int) -> list[ManifestEntry]:
    """Return one part of a directory's manifest, some thousand entries; none after the last part."""
    row = database.read(lambda session: session.get(ManifestPart, (file_id, part)))
    lines = zlib.decompress(row.entries).splitlines() if row else ()
    return [ManifestEntry(*json.loads(line)) for line in lines]
