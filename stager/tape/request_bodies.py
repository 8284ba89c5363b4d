"""Bodies of Tape REST calls, and the staging requests that they stand for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Annotated, Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from stager.api.large.distinct_destinations import DistinctDestinations
from stager.callers.caller import Caller
from stager.errors import MalformedCall, MixedStage
from stager.models import MAX_LIFETIME_SECONDS, USER_AREA, DestinationName, PathText, StagingItem, StagingRequest
from stager.records.requests import ClientWish
from stager.settings import Settings
from stager.tape.paths import AnyText, sanitised, source_of


def _is_written(value: object) -> object:
    if value is None or isinstance(value, str):
        return value
    msg = "a duration is written as in ISO 8601: PT1H"
    raise ValueError(msg)


Duration = Annotated[
    timedelta | None,
    Field(ge=timedelta(0), le=timedelta(seconds=MAX_LIFETIME_SECONDS), description="ISO 8601: PT1H."),
    BeforeValidator(_is_written, json_schema_input_type=timedelta | None),
]


class TapeRequestBody(BaseModel):
    """A body of the Tape REST API; members that it does not know are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class SiteMetadata(TapeRequestBody):
    """Metadata that a client addresses to this site."""

    method: str | None = Field(None, min_length=1, max_length=64, description="Staging method.")
    destination_area: DestinationName | None = Field(
        None, description="As in a request; by default user: the user's own."
    )
    destination: PathText | None = Field(None, description="Path in that area; by default that of the source.")
    username: str | None = Field(
        None, min_length=1, max_length=255, description="User to stage for; by default the caller."
    )


class StageFile(TapeRequestBody):
    """One file to stage."""

    path: PathText = Field(description="Path in the source area, whose root is /.", examples=["/a.fits"])
    disk_lifetime: Duration = Field(None, alias="diskLifetime", examples=["PT1H"])
    targeted_metadata: dict[str, Any] | None = Field(
        None, alias="targetedMetadata", description="Metadata by site name; those of other sites are ignored."
    )


class StageBody(TapeRequestBody):
    """A stage request."""

    files: tuple[StageFile, ...] = Field(min_length=1)


class PathsBody(TapeRequestBody):
    """Some files of a stage request."""

    paths: tuple[PathText, ...] = Field(min_length=1, examples=[["/a.fits"]])

    @property
    def sources(self) -> tuple[str, ...]:
        """The same, as paths in the source area."""
        return tuple(source_of(path) for path in self.paths)


class ArchiveBody(TapeRequestBody):
    """Files to look for; a path that can name nothing gets an error of its own."""

    paths: tuple[AnyText, ...] = Field(min_length=1, examples=[["/a.fits"]])


def malformed(error: RequestValidationError | ValidationError) -> MalformedCall:
    """Return the error for an invalid body, about its first mistake."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return MalformedCall(f"{where}: {first['msg']}")


def staging_of(body: StageBody, caller: Caller, settings: Settings) -> tuple[StagingRequest, tuple[ClientWish, ...]]:
    """Return the staging request that a stage body stands for, and what the client wishes for each file.

    A path that comes twice counts once, as it came first.

    Raises
    ------
    MalformedCall
        What is said to this site is not as it must be.
    MixedStage
        The files are for several users, by several methods or to several areas.
    SharedDestination, NestedDestination
        Two files have the same destination, or one's lies inside the other's.
    NotAllowed
        It is for nobody, or for somebody for whom the caller may not act.
    """
    files = {source_of(file.path): file for file in reversed(body.files)}
    sources = list(dict.fromkeys(source_of(file.path) for file in body.files))
    said = {source: _said(files[source], settings.site_name) for source in sources}
    username = _only((about.username for about in said.values()), "users")
    items = tuple(StagingItem(source=source, destination=said[source].destination or source) for source in sources)
    _check_destinations(items)
    wishes = tuple(_wish(files[source], said[source]) for source in sources)
    request = StagingRequest(
        method=_only((about.method or settings.tape_method for about in said.values()), "methods") or "",
        username=caller.user(username),
        destination_area=_only((about.destination_area or USER_AREA for about in said.values()), "areas") or "",
        items=items,
        lifetime=max(wish["lifetime"] or 0 for wish in wishes) or None,
    )
    return request, wishes


def _said(file: StageFile, site_name: str) -> SiteMetadata:
    about = (file.targeted_metadata or {}).get(site_name)
    try:
        return SiteMetadata.model_validate(about if isinstance(about, Mapping) else {})
    except ValidationError as error:
        raise malformed(error) from None


def _only(named: Iterable[str | None], what: str) -> str | None:
    found = set(named)
    if len(found) > 1:
        raise MixedStage(what)
    return found.pop()


def _check_destinations(items: Iterable[StagingItem]) -> None:
    destinations = DistinctDestinations()
    for item in items:
        destinations.add(item.destination)
    destinations.check()


def _wish(file: StageFile, about: SiteMetadata) -> ClientWish:
    seconds = int(file.disk_lifetime.total_seconds()) if file.disk_lifetime else 0
    said = {"path": sanitised(file.path), **about.model_dump(exclude_none=True)}
    return {"lifetime": seconds or None, "targeted_metadata": json.dumps(said)}
