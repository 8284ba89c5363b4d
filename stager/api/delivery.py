"""What a request delivered: a manifest with a line for each file, and a receipt with the sums."""

from __future__ import annotations

import json
import posixpath
from collections.abc import AsyncIterator, Iterable
from datetime import datetime

from pydantic import ConfigDict, Field

from stager.checksums import ADLER32
from stager.errors import RequestNotEnded
from stager.http.examples import BEGAN, ENDED, REQUEST_ID
from stager.http.record_views import View
from stager.methods import ReadOnlyBy
from stager.methods.all_methods import METHODS
from stager.models import DELIVERED, Status
from stager.records.database import AsyncDatabase
from stager.records.items import (
    LeftUndone,
    counts_of,
    files_of,
    has_directory,
    item_with_manifest,
    left_undone,
    manifest_part,
)
from stager.records.tables import StagedFile, StagingRequestRow

# Items that are read from the records at a time.
ITEMS_AT_ONCE = 500
_TO_REMOVE = "Before you move, remove or add to a directory that was delivered: chmod -R u+w DIRECTORY"


class Promises(View):
    """What holds of what a method completes."""

    model_config = ConfigDict(from_attributes=True)

    publishes_atomically: bool = Field(description="A product appeared whole, at one moment.")
    read_only_by: ReadOnlyBy = Field(
        description="What keeps it from being changed; nothing, if some of it was left writable.", examples=["mode"]
    )
    verified_by: str = Field(description="How it is known that the bytes arrived.")


class Receipt(View):
    """What a request delivered, once it has ended."""

    request_id: str = Field(examples=[REQUEST_ID])
    method: str = Field(examples=["local_copy"])
    username: str = Field(examples=["alice"])
    status: Status = Field(examples=[Status.COMPLETED])
    error_reason: str | None = Field(description="Why it failed or was cancelled.")
    note: str | None
    acting_as: str | None = Field(
        description="The account that the files were written as, in words.", examples=["alice (uid 1000)"]
    )
    item_count: int
    items_by_status: dict[Status, int] = Field(
        description="How many items ended with each status.", examples=[{Status.COMPLETED: 1}]
    )
    size_bytes: int = Field(description="Bytes that were delivered.", examples=[2880])
    file_count: int = Field(description="Files that were delivered.")
    created_at: datetime = Field(examples=[BEGAN])
    started_at: datetime | None = Field(examples=[BEGAN])
    finished_at: datetime | None = Field(examples=[ENDED])
    expires_at: datetime | None = Field(description="Until when the delivery is wanted.")
    manifest_url: str = Field(
        description="Address of the manifest: the checksums of every file.",
        examples=[f"https://staging.example.org/requests/{REQUEST_ID}/manifest"],
    )
    promises: Promises | None = Field(
        description="Of the items that it completed; what was skipped is as it was found. Null where there is none."
    )
    to_remove: str | None = Field(
        description="How to make delivered directories writable, to move or remove them; null where there are none.",
        examples=[_TO_REMOVE],
    )


async def receipt_of(records: AsyncDatabase, row: StagingRequestRow, *, public_url: str) -> Receipt:
    """Return the receipt of a request.

    Parameters
    ----------
    public_url
        The service's address.

    Raises
    ------
    RequestNotEnded
        It still goes on.
    """
    if not row.status.is_final:
        raise RequestNotEnded(row.id, row.status)
    facts = {name: getattr(row, name) for name in Receipt.model_fields if hasattr(row, name)}
    by_status = await records.ask(counts_of, row.id)
    method = METHODS.get(row.method) if by_status.get(Status.COMPLETED) else None
    promises = Promises.model_validate(method.promise) if method else None
    left: LeftUndone = await records.ask(left_undone, row.id)
    if promises and left.is_writable:
        promises = promises.model_copy(update={"read_only_by": "nothing"})
    if promises and left.is_unverified:
        promises = promises.model_copy(update={"verified_by": f"{promises.verified_by}; of some of it, sizes alone"})
    return Receipt(
        **facts,
        request_id=row.id,
        items_by_status=by_status,
        size_bytes=row.bytes_done,
        file_count=row.files_done,
        manifest_url=f"{public_url}/requests/{row.id}/manifest",
        promises=promises,
        to_remove=_TO_REMOVE if await records.ask(has_directory, row.id, statuses=DELIVERED) else None,
    )


async def manifest_lines(records: AsyncDatabase, request_id: str) -> AsyncIterator[bytes]:
    """Yield a JSON line for every delivered file, some hundred at a time: memory use stays constant."""
    position = None
    while files := await records.ask(files_of, request_id, after=position, limit=ITEMS_AT_ONCE, statuses=DELIVERED):
        position = files[-1].position
        single = []
        for file in files:
            if file.expand:  # what it stands for is told by the items that it became
                continue
            if file.kind != "directory":
                single.append(_line(file))
                continue
            if single:
                yield _block(single)
                single = []
            async for lines in _directory(records, file):
                yield _block(lines)
        if single:
            yield _block(single)


async def _directory(records: AsyncDatabase, file: StagedFile) -> AsyncIterator[list[dict[str, object]]]:
    """Yield the lines of a directory's files, or one line for the directory where its files are not on record."""
    part, told = 0, await records.ask(item_with_manifest, file)
    while entries := await records.ask(manifest_part, told, part):
        yield [
            {
                "position": file.position,
                "path": posixpath.join(file.relative_path, entry.path),
                "kind": "file",
                "size_bytes": entry.size_bytes,
                "checksum": entry.checksum,
                "checksum_algorithm": ADLER32,
            }
            for entry in entries
        ]
        part += 1
    if part == 0:
        yield [_line(file)]


def _line(file: StagedFile) -> dict[str, object]:
    facts = ("position", "kind", "size_bytes", "checksum", "checksum_algorithm")
    expected = {"expected_checksum": str(file.expected_checksum)} if file.expected_checksum else {}
    return {"path": file.relative_path, **{name: getattr(file, name) for name in facts}, **expected}


def _block(lines: Iterable[dict[str, object]]) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in lines).encode("ascii")
