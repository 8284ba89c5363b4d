"""Routes that show how the site is configured."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from stager.dispatch.pools import pools_to_choose
from stager.http.dependencies import CurrentSettings
from stager.http.offered_methods import offered_methods
from stager.settings import AUTHENTICATION_IS_OFF
from stager.vocabulary import Pool

router = APIRouter(prefix="/config", tags=["site"])
METHODS_SHOWN = ["direct_download", "local_copy"]


class AllowedMethods(BaseModel):
    """The staging methods that may be asked for."""

    model_config = ConfigDict(frozen=True)

    allowed_methods: tuple[str, ...] = Field(description="Names of the methods.", examples=[METHODS_SHOWN])


class Config(BaseModel):
    """What a user may want to know of the site."""

    model_config = ConfigDict(frozen=True)

    source_storage_path: str = Field(
        description="Where the storage with the data products is mounted: data are staged from it, never to it.",
        examples=["/storage"],
    )
    target_storage_path: str = Field(
        description="Where the users' areas are mounted: data are staged to the user's own folder in it.",
        examples=["/users"],
    )
    allowed_methods: tuple[str, ...] = Field(
        description="The staging methods that may be asked for.", examples=[METHODS_SHOWN]
    )
    pools: tuple[Pool, ...] = Field(description="The pools that a request may ask for.", examples=[[Pool.POD]])
    authentication: Literal["on", "off"] = Field(
        description="Whether calls need a bearer token; when off, whoever reaches the service acts for any user."
    )
    warning: str | None = Field(description="What it means that authentication is off; null where it is on.")


@router.get(
    "/allowed-methods", operation_id="list_allowed_methods", summary="The staging methods that may be asked for"
)
async def show_allowed_methods(settings: CurrentSettings) -> AllowedMethods:
    """Return the methods' names."""
    return AllowedMethods(allowed_methods=offered_methods(settings))


@router.get("", operation_id="get_config", summary="The site's storages and methods")
async def show_config(settings: CurrentSettings) -> Config:
    """Return where the storages are mounted, and the methods."""
    is_open = settings.access_file is None
    return Config(
        source_storage_path=str(settings.source_storage_path),
        target_storage_path=str(settings.target_storage_path),
        allowed_methods=offered_methods(settings),
        pools=pools_to_choose(settings),
        authentication="off" if is_open else "on",
        warning=AUTHENTICATION_IS_OFF if is_open else None,
    )
