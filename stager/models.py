"""The models that all parts share: the staging request with its items, its status, and storage areas.

The same frozen models are the HTTP body, what a person types into Prefect's
form and what a flow is given. A path is text; bytes of a name that are not
UTF-8 appear in it as lone surrogates (PEP 383), and in JSON as their escapes.
"""

from __future__ import annotations

import posixpath
import re
from datetime import UTC, datetime
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from stager.checksums import Checksum
from stager.errors import readable
from stager.vocabulary import Expand, OnConflict, Pool, Verify

MAX_PATH_BYTES = 4096
# The destination area that means the user's own place: their folder there, their notebook server, or their bucket.
USER_AREA = "user"
# The hub that is meant where none is named: the block that the settings are written to.
SITES_HUB = "jupyterhub"
# The object store that is meant where none is named, as the name of its block.
SITES_STORE = "object-store"
MAX_LIFETIME_SECONDS = 10 * 365 * 86_400
# What off_t holds; a file cannot be larger.
MAX_SIZE_BYTES = 2**63 - 1

# A text that pydantic would take for seconds since 1970.
_NUMBER = re.compile(r"\s*[+-]?[\d.]+\s*$")


def _path_text(value: Any) -> str:  # noqa: ANN401 - whatever the caller sent
    if not isinstance(value, str):
        message = "a path is a string"
        raise ValueError(message)  # noqa: TRY004 - pydantic turns ValueError into a field's error
    if not value or "\0" in value:
        message = "a path is not empty and has no NUL"
        raise ValueError(message)
    if len(value.encode("utf-8", "surrogatepass")) > MAX_PATH_BYTES:
        message = f"a path has at most {MAX_PATH_BYTES} bytes"
        raise ValueError(message)
    return value


# Not pydantic's own str, which refuses lone surrogates.
PathText = Annotated[
    str,
    PlainValidator(_path_text),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_PATH_BYTES}),
]


def _no_truth(value: Any) -> Any:  # noqa: ANN401 - whatever the caller sent
    if isinstance(value, bool):
        message = "true and false are not numbers"
        raise ValueError(message)  # noqa: TRY004 - as above
    return value


# For whole numbers: pydantic's int takes true for 1, and a strict int refuses a query's digits. Bounds stand before
# it, so that the API's description has them too.
NO_TRUTH = BeforeValidator(_no_truth)


def _no_bare_number(value: Any) -> Any:  # noqa: ANN401 - whatever the caller sent
    if isinstance(value, int | float) or (isinstance(value, str) and _NUMBER.match(value)):
        message = "a time is written as a date and a time (RFC 3339)"
        raise ValueError(message)
    return value


def _in_our_time(moment: datetime) -> datetime:
    aware = moment.replace(tzinfo=moment.tzinfo or UTC)
    if not datetime(1970, 1, 2, tzinfo=UTC) <= aware <= datetime(9999, 12, 30, tzinfo=UTC):
        message = "a time lies between the years 1970 and 9999"
        raise ValueError(message)
    return aware


# With an offset, or in UTC.
Moment = Annotated[datetime, BeforeValidator(_no_bare_number), AfterValidator(_in_our_time)]


class Frozen(BaseModel):
    """Base of models that are immutable and refuse unknown members."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Status(StrEnum):
    """The status of a request or an item: the words of the WLCG Tape REST API, and skipped."""

    SUBMITTED = "submitted"
    STARTED = "started"
    COMPLETED = "completed"
    SKIPPED = "skipped"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether it never changes any more."""
        return self not in (Status.SUBMITTED, Status.STARTED)


# Items of these statuses are at their destinations.
DELIVERED = (Status.COMPLETED, Status.SKIPPED)


# The pattern of an area's name.
AREA_NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"
AreaName = Annotated[str, Field(pattern=AREA_NAME)]
# The pattern of a notebook server's name: one that is a single name in an address, and neither "." nor "..".
SERVER_NAME = r"[^/.\x00-\x1f\x7f][^/\x00-\x1f\x7f]{0,99}"
# A storage area; or a hub, and the user's notebook server there where it is not the default one: user/lab.
DestinationName = Annotated[str, Field(pattern=rf"{AREA_NAME[:-1]}(/{SERVER_NAME})?$")]


def area_and_server(destination: str) -> tuple[str, str]:
    """Return the area, or the hub, that a destination is in, and the notebook server's name, which may be empty."""
    area, _, server = destination.partition("/")
    return area, server


class StorageArea(Frozen):
    """A folder of a mounted storage that data are staged from and, if it is a destination, to."""

    name: AreaName = Field(description="Its name in requests.")
    path: Path = Field(description="Where it is mounted here: an absolute path.")
    path_for_users: Path | None = Field(None, description="Where users see it, when not at the same path.")
    per_user: bool = Field(default=False, description="Paths are relative to a folder of the user's name in it.")
    read_as: Literal["user", "service"] = Field(
        "user",
        description="Whose rights it is read with: the user's, or the service's where users cannot enter it.",
    )
    is_destination: bool = Field(default=False, description="Whether data may be staged to it, not only from it.")


def hub_named(destination_area: str) -> str:
    """Return the name of the hub that a destination area stands for, in a request to notebook servers."""
    hub, _ = area_and_server(destination_area)
    return SITES_HUB if hub == USER_AREA else hub


def store_named(destination_area: str) -> str:
    """Return the name of the object store that a destination area stands for, in a request to buckets."""
    return SITES_STORE if destination_area == USER_AREA else destination_area


def _checksum_text(value: str) -> str:
    Checksum.parse(value)
    return value


# As the caller wrote it; the pattern is valid in ECMA-262, too.
ChecksumText = Annotated[
    str,
    AfterValidator(_checksum_text),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^(([Aa][Dd][Ll][Ee][Rr]32:)?[0-9A-Fa-f]{1,8}|([Ss][Hh][Aa]256:)?[0-9A-Fa-f]{64}"
            r"|([Mm][Dd]5:)?[0-9A-Fa-f]{32})$",
        }
    ),
]
Size = Annotated[int, Field(ge=0, le=MAX_SIZE_BYTES), NO_TRUTH]


class StagingItem(Frozen):
    """One file or directory to bring to its destination."""

    source: PathText = Field(
        description="Path in the source area, relative to it or absolute inside it.", examples=["a.fits"]
    )
    destination: PathText = Field(
        description="Path relative to the destination area (a user area: to the user's folder).",
        examples=["night-1/a.fits"],
    )
    checksum: ChecksumText | None = Field(
        None,
        description="The source file's checksum, if known: adler32:HEX, sha256:HEX or md5:HEX.",
        examples=["adler32:0a1b2c3d"],
    )
    size_bytes: Size | None = Field(None, description="The source's size in bytes, if known.", examples=[2880])
    expand: Expand | None = Field(
        None,
        description="What the source is if it stands for many items, which appear below the destination.",
    )

    @model_validator(mode="after")
    def _is_of_one_file(self) -> Self:
        if self.expand and (self.checksum is not None or self.size_bytes is not None):
            message = "what is expanded has no checksum and no size of its own"
            raise ValueError(message)
        return self

    @property
    def read_at(self) -> str:
        """The path at or beneath which all is that it reads."""
        return self.expand.parted(self.source)[0] if self.expand else self.source


# How long a delivery is wanted for, in seconds.
Lifetime = Annotated[int, Field(ge=1, le=MAX_LIFETIME_SECONDS, examples=[86_400]), NO_TRUTH]
Priority = Annotated[int, Field(ge=-10, le=10), NO_TRUTH]
Note = Annotated[str, Field(max_length=2000, examples=["survey"])]


class StagingTerms(Frozen):
    """How a user wants some items staged."""

    method: str = Field(min_length=1, max_length=64, description="Staging method.", examples=["local_copy"])
    username: str = Field(min_length=1, max_length=255, description="User for whom to stage.", examples=["alice"])
    source_area: str = Field("source", min_length=1, max_length=255, description="Storage area of the sources.")
    destination_area: str = Field(
        USER_AREA,
        min_length=1,
        max_length=255,
        description="Storage area of the destinations; for jupyter_copy, a hub, or user for the site's, "
        "and after a slash one of the user's servers, if not the default one: user/lab; for s3_copy, an object store, "
        "or user for the site's.",
    )
    on_conflict: OnConflict = Field(
        OnConflict.SKIP_IDENTICAL,
        description="What to do if something is at the destination: fail, skip_identical or replace.",
    )
    deadline: Annotated[Moment, Field(examples=["2026-11-24T20:05:00Z"])] | None = Field(
        None, description="Items that are not done by then are cancelled; UTC without an offset."
    )
    lifetime: Lifetime | None = Field(
        None, description="How long the delivery is wanted, in seconds; it is recorded only."
    )
    priority: Priority = Field(0, description="Of waiting requests, those with a higher priority go first.")
    note: Note | None = Field(None, description="A note of the caller's own.")
    pool: Pool | None = Field(
        None, description="Where its runs are done, if not where the site's rule says: warm or pod; see GET /config."
    )
    verify: Verify | None = Field(
        None,
        description="read: before it counts as delivered, all of it is read back and compared, by s3_copy alone.",
    )


class StagingRequest(StagingTerms):
    """What a user wants staged: one or more items by one method."""

    items: tuple[StagingItem, ...] = Field(min_length=1, description="What to stage.")

    @model_validator(mode="after")
    def _destinations_differ(self) -> Self:
        seen: set[str] = set()
        for item in self.items:
            place = posixpath.normpath(item.destination)
            if place in seen:
                message = f"two items have the destination {readable(place)}"
                raise ValueError(message)
            seen.add(place)
        if "." in seen and len(seen) > 1:
            message = "every other destination lies inside that of an item for the destination area itself"
            raise ValueError(message)
        # A separator that no name has, and nothing sorts before: what lies inside a destination follows it at once.
        for outer, inner in pairwise(sorted(place.replace("/", "\0") for place in seen)):
            if inner.startswith(outer + "\0"):
                message = f"the destination {_shown(inner)} lies inside {_shown(outer)}, another item's"
                raise ValueError(message)
        return self


def _shown(place: str) -> str:
    return readable(place.replace("\0", "/"))
