"""The rows of a new request, made before its transaction begins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from stager.checksums import Checksum
from stager.models import StagingItem, StagingRequest, StagingTerms, Status
from stager.records.cutting import Cutter, ShardLimits
from stager.records.database import new_id
from stager.records.database.columns import path_bytes
from stager.records.requests.body_digest import digest_of
from stager.records.shards import shard_rows
from stager.user_secrets import UserSecret

# What an item that stands for many has for a path: versions before, which would replace its destination by what its
# source is as a whole, refuse it before they look at anything.
NO_SOURCE = "../is expanded by later versions alone"


class ClientWish(TypedDict):
    """A Tape REST client's wishes for a file: its lifetime in seconds, and its metadata as JSON."""

    lifetime: int | None
    targeted_metadata: str


@dataclass(frozen=True, kw_only=True)
class NewRequest:
    """A request that is to be recorded: its row, those of its shards and items, and its secret, sealed."""

    row: dict[str, Any]
    shards: list[dict[str, Any]]
    files: list[dict[str, Any]]
    sealed: bytes | None = field(default=None, repr=False)

    @property
    def key(self) -> tuple[str, str] | None:
        """The user and the idempotency key, which no other request has; None without a key."""
        name = self.row["idempotency_key"]
        return name and (self.row["username"], name)


def new_request(
    request: StagingRequest,
    *,
    idempotency_key: str | None = None,
    flow_run_id: str | None = None,
    origin: str = "api",
    wishes: Sequence[ClientWish] = (),
    is_bounded: bool = False,
    secret: UserSecret | None = None,
    limits: ShardLimits | None = None,
) -> NewRequest:
    """Return the rows of a request.

    Parameters
    ----------
    request
        What is asked for.
    idempotency_key
        The caller's own name for the request, at most 255 bytes; with the same
        key and the same request, the first record is returned.
    flow_run_id
        The run that has the request already; without one, it waits for a run.
    origin
        The way that it came in, in a word of at most 16 letters.
    wishes
        What a Tape REST client says of each item, in their order; by default nothing.
    is_bounded
        Whoever asks may read a part of the source area alone.
    secret
        The user's own, for the run that does it.
    limits
        How large a shard may be; a request with a secret, or that a run has already, is one all the same.

    Raises
    ------
    InvalidPath
        A path has a surrogate that stands for no byte.
    """
    row = {
        **row_of(
            request,
            idempotency_key=idempotency_key,
            origin=origin,
            is_bounded=is_bounded,
            has_secret=secret is not None,
        ),
        "flow_run_id": flow_run_id,
        "body_digest": digest_of(request),
        "item_count": len(request.items),
    }
    files = file_rows(request.items, request_id=row["id"])
    for file, wish in zip(files, wishes, strict=bool(wishes)):
        file.update(wish)
    # A secret is handed to one process at a time: side by side, shards would wait for each other.
    cutter = Cutter(None if secret or flow_run_id else limits)
    cutter.add(item.size_bytes for item in request.items)
    sealed = secret.sealed_for(row["id"]) if secret else None
    return NewRequest(row=row, shards=shard_rows(row, cutter.pieces()), files=files, sealed=sealed)


def row_of(
    terms: StagingTerms, *, idempotency_key: str | None, origin: str, is_bounded: bool, has_secret: bool
) -> dict[str, Any]:
    """Return a new request's row, as far as its terms fill it."""
    return {
        "id": new_id(),
        "origin": origin,
        **terms.model_dump(include=set(StagingTerms.model_fields)),
        "on_conflict": terms.on_conflict.value,
        "status": Status.SUBMITTED,
        "cancel_requested": False,
        "idempotency_key": idempotency_key,
        "is_bounded": is_bounded,
        "has_secret": has_secret,
    }


def file_rows(items: Iterable[StagingItem], *, request_id: str, start: int = 0) -> list[dict[str, Any]]:
    """Return the rows of a request's items, given the position of the first."""
    items = tuple(items)
    for path in (path for item in items for path in (item.source, item.destination)):
        path_bytes(path)  # refused before anything is written
    return [
        {
            "request_id": request_id,
            "position": position,
            "local_path_on_storage": NO_SOURCE if item.expand else item.source,
            "relative_path": item.destination,
            "destination_key": f"{request_id}/{position}",  # until the run knows the place: its own
            "status": Status.SUBMITTED,
            "expected_checksum": item.checksum and Checksum.parse(item.checksum),
            "expected_size_bytes": item.size_bytes,
            "bytes_done": 0,
            "files_done": 0,
            "lifetime": None,
            "targeted_metadata": None,
            "expand": item.expand,
            "expand_source": item.source if item.expand else None,
        }
        for position, item in enumerate(items, start)
    ]
