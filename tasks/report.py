"""The report of a finished run in Prefect's pages: a table of the items, and links to records and into JupyterLab."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from humanize import naturalsize
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from stager.errors import printable, readable
from stager.models import DELIVERED, Status
from stager.records.database import Database
from stager.records.items import files_of
from stager.records.shards import named
from stager.records.tables import Shard, StagedFile, StagingRequestRow
from stager.settings import get_settings
from tasks.shown import as_text, shown_if_possible

# Rows of a table that a person can still read; the record has all items.
MAX_ROWS = 200
# Reasons that the run's sentence names at most.
MAX_REASONS = 3


class Outcome(NamedTuple):
    """How what a run did of a request has ended: all of it, or one of its shards, which is named."""

    request_id: str
    username: str
    status: Status
    error_reason: str | None
    part: str = ""
    positions: range | None = None


def outcome_of(request: StagingRequestRow, shard: Shard | None) -> Outcome:
    """Return how a run's shard of a request has ended; without one, how the request has."""
    if shard is None or shard.shard_count == 1:
        return Outcome(request.id, request.username, request.status, request.error_reason)
    part, reason = named(shard), shard.error_reason
    return Outcome(request.id, request.username, shard.status, reason, part=part, positions=shard.positions)


def in_words(requests: Sequence[Outcome]) -> str:
    """Return the outcome of a run's requests, in a sentence."""
    first = requests[0]
    if len(requests) == 1:
        said = first.error_reason or f"{first.status} for {first.username} (record {first.request_id})"
        return printable(f"{first.part}{said}")
    counts = Counter(str(request.status) for request in requests)
    said = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    reasons = list(dict.fromkeys(request.error_reason for request in requests if request.error_reason))
    more = "; ..." if len(reasons) > MAX_REASONS else ""
    why = ": " + "; ".join(reasons[:MAX_REASONS]) + more if reasons else ""
    return printable(f"{len(requests)} requests of {first.username}: {said}{why}")


def report(database: Database, requests: Sequence[Outcome]) -> None:
    """Create an artifact with a table of the items, failures first, and one with links to records and JupyterLab."""
    with shown_if_possible():
        files = [file for one in requests for file in _files(database, one)]
        files.sort(key=lambda file: file.status not in (Status.FAILED, Status.CANCELLED))
        links = [f"- {one.part}{one.status}: [record {one.request_id}]({_address(one.request_id)})" for one in requests]
        links += [_link(file) for file in files[:MAX_ROWS] if file.link and file.status in DELIVERED]
        create_markdown_artifact(
            "\n".join(links), description=f"The records of what this run did for {as_text(requests[0].username)}"
        )
        rows = [_row(file) for file in files[:MAX_ROWS]]
        create_table_artifact(rows, description=f"**{as_text(in_words(requests))}**")


def _files(database: Database, one: Outcome) -> Sequence[StagedFile]:
    if one.positions is None:
        return files_of(database, one.request_id, limit=MAX_ROWS)
    first, limit = one.positions.start, min(MAX_ROWS, len(one.positions))
    return files_of(database, one.request_id, after=first - 1, limit=limit)


def _address(request_id: str) -> str:
    return f"{get_settings().public_url}/requests/{request_id}"


def _link(file: StagedFile) -> str:
    return f"- in JupyterLab: [{as_text(readable(file.seen_at or file.relative_path))}]({file.link})"


def _row(file: StagedFile) -> dict[str, Any]:
    return {
        "Source": as_text(readable(file.source)),
        "Status": str(file.status),
        "Reason": as_text(file.error_reason or ""),
        "Destination": as_text(readable(file.seen_at or file.relative_path)),
        "Size": "" if file.size_bytes is None else naturalsize(file.size_bytes),
        "Files": "" if file.file_count is None else str(file.file_count),
        "Checksum": f"{file.checksum_algorithm}:{file.checksum}" if file.checksum else "",
    }
