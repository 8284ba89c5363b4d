"""Examples of what is sent and answered: put together from what its members are called, so that none is forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stager.http.limits import MAX_HEADER_BYTES, MAX_TARGET_BYTES

Node = dict[str, Any]

REQUEST_ID = "0198c4f0a1b27c3d9e4f5a6b7c8d9e0f"
RUN_ID = "6d4f9f0e-3c1b-4c8e-9d27-5b1a2f3e4c5d"
BEGAN, ENDED = "2026-11-24T20:00:00Z", "2026-11-24T20:05:00Z"
MILLISECONDS = 1_795_550_400_000

# By the member's name, or by the name of its schema and its own. The schema's own example goes first; a member that
# is in neither is null or left out where it may be, or else its default, its first word or what fits its type.
MEMBERS: dict[str, object] = {
    "Accepted.message": f"The request is submitted; see /requests/{REQUEST_ID} for its outcome",
    "acting_as": "alice (uid 1000)",
    "allowed_methods": ["direct_download", "local_copy"],
    "ArchiveInfo.locality": "DISK_AND_TAPE",
    "AreaView.name": "source",
    "asOf": MILLISECONDS,
    "at": BEGAN,
    "body_bytes": 4 << 20,
    "body_values": 162_000,
    "bytes_done": 0,
    "bytes_left": 2880,
    "Cancellation.items": [3, 4],
    "cause": "WaitsForTurn",
    "completedAt": MILLISECONDS,
    "create_file_bytes": 0,
    "created_at": BEGAN,
    "createdAt": MILLISECONDS,
    "description": "Brings data products to users' areas: checked, verified, read-only",
    "destination": "night-1/a.fits",
    "destination_area": "user",
    "detail": "it waits for its turn",
    "diskLifetime": "PT1H",
    "EntryView.name": "a.fits",
    "estimate": {"earliest": BEGAN, "latest": ENDED, "measured_on": 50, "measured_by": "bytes"},
    "EventView.kind": "submitted",
    "files_done": 0,
    "flow_run_id": RUN_ID,
    "flow_run_url": f"https://staging.example.org/prefect/runs/flow-run/{RUN_ID}",
    "header_bytes": MAX_HEADER_BYTES,
    "is_reachable": True,
    "items_by_status": {"completed": 1},
    "items_in_body": 10_000,
    "items_to_cancel": 10_000,
    "Link.expires_at": ENDED,
    "Link.url": "https://staging.example.org/links?token=0123456789abcdef",
    "long_calls": 200,
    "manifest_bytes": 512 << 20,
    "manifest_url": f"/requests/{REQUEST_ID}/manifest",
    "maxEntries": 10_000,
    "maxOpenRequests": 1000,
    "mended_by": "nobody",
    "message": "it waits for its turn, behind 0 of other users",
    "method": "local_copy",
    "minPollSeconds": 5,
    "modified_at": BEGAN,
    "on_conflict": "skip_identical",
    "open_requests": 1000,
    "origin": "api",
    "parts": {"database": {"is_reachable": True}, "area source": {"is_reachable": True}},
    "path": "/a.fits",
    "path_bytes": 4096,
    "paths": ["/a.fits"],
    "pause": 30.0,
    "position": 0,
    "priority": 0,
    "ProblemKind.status": 400,
    "range_parts": 64,
    "Receipt.finished_at": ENDED,
    "Receipt.started_at": BEGAN,
    "Receipt.status": "completed",
    "request_id": REQUEST_ID,
    "requestId": REQUEST_ID,
    "RequestSummary.finished_at": ENDED,
    "RequestSummary.started_at": BEGAN,
    "RequestSummary.status": "completed",
    "since": BEGAN,
    "SiteLimits.items": 1_000_000,
    "sitename": "staging.example.org",
    "size_bytes": 2880,
    "source": "a.fits",
    "source_area": "source",
    "source_storage_path": "/storage",
    "to_remove": "Before you move, remove or add to a directory that was delivered: chmod -R u+w DIRECTORY",
    "Staged.message": "Data staged for user alice with method local_copy",
    "StageFileState.finishedAt": MILLISECONDS,
    "StageFileState.state": "COMPLETED",
    "StageState.id": REQUEST_ID,
    "StagingItem.checksum": "adler32:0a1b2c3d",
    "startedAt": MILLISECONDS,
    "target_bytes": MAX_TARGET_BYTES,
    "target_storage_path": "/users",
    "title": "Nothing is at the source's path",
    "uri": "https://staging.example.org/api/v1",
    "username": "alice",
    "wait": 60.0,
}
# What comes in an address or a header, likewise.
PARAMETERS: dict[str, object] = MEMBERS | {
    "area": "source",
    "deadline": ENDED,
    "jupyter_token": "0123456789abcdef",
    "name": "source-not-found",
    "note": "survey",
    "path": "night-1/a.fits",
    "prefer": "wait=10",
    "token": "0123456789abcdef",
    "x-jupyter-token": "0123456789abcdef",
}
OF_TYPES = {"string": "text", "integer": 1, "number": 1.0, "boolean": False, "null": None}


def example_of(schema: Node, components: Node) -> Any:  # noqa: ANN401 - JSON
    """Return a value that fits a schema, given those that it may name."""
    for word in ("const", "default", "examples", "enum"):
        if word in schema:
            return schema[word] if word in ("const", "default") else schema[word][0]
    if "$ref" in schema:
        return example_of(components[schema["$ref"].rpartition("/")[2]], components)
    if "anyOf" in schema:
        return example_of(schema["anyOf"][0], components)
    if schema["type"] == "array":
        return [example_of(schema["items"], components)]
    if schema["type"] == "object":
        return dict(_members(schema, components))
    return OF_TYPES[schema["type"]]


def _members(schema: Node, components: Node) -> Iterator[tuple[str, object]]:
    for name, member in schema.get("properties", {}).items():
        named = [MEMBERS[key] for key in (f"{schema['title']}.{name}", name) if key in MEMBERS]
        if named and "examples" not in member:
            yield name, named[0]
        elif {"type": "null"} not in member.get("anyOf", ()):
            yield name, example_of(member, components)
        elif name in schema.get("required", ()):
            yield name, None
