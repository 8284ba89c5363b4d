"""The form that a person fills in Prefect's pages: a staging request with areas to choose from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from blocks.storage_area import StorageAreaBlock
from stager.models import Frozen, StagingItem, StagingRequest
from stager.vocabulary import OnConflict


def _always_a_block(schema: dict[str, Any]) -> None:
    """Show a list of blocks at once, without a switch between block and nothing."""
    schema.update(schema.pop("anyOf")[0])
    schema.pop("default")


ChosenArea = Annotated[StorageAreaBlock | None, Field(json_schema_extra=_always_a_block)]


class StagingForm(Frozen):
    """A staging request as a person types it in."""

    method: str
    username: str = Field(title="User", description="Whose data they become.", min_length=1, max_length=255)
    items: tuple[StagingItem, ...] = Field(
        title="Items", description="Files and directories to stage.", min_length=1, max_length=10_000
    )
    source_area: ChosenArea = Field(None, title="From", description="Storage area of the sources; by default 'source'.")
    destination_area: ChosenArea = Field(
        None, title="To", description="Storage area of the destinations; by default 'user', the user areas."
    )
    on_conflict: OnConflict = Field(
        OnConflict.SKIP_IDENTICAL,
        title="If something is there",
        description="Fail, skip it if it is identical, or replace it.",
    )

    def request(self) -> StagingRequest:
        """Return what was typed in as every other door would send it."""
        return StagingRequest(
            method=self.method,
            username=self.username,
            items=self.items,
            source_area=_name_of(self.source_area, default="source"),
            destination_area=_name_of(self.destination_area, default="user"),
            on_conflict=self.on_conflict,
        )


def _name_of(block: StorageAreaBlock | None, *, default: str) -> str:
    return default if block is None else str(block._block_document_name)  # noqa: SLF001 - Prefect tells it nowhere else


class LocalCopyForm(StagingForm):
    """Copies for a user."""

    method: Literal["local_copy"] = "local_copy"


class LocalSymlinkForm(StagingForm):
    """Symbolic links for a user."""

    method: Literal["local_symlink"] = "local_symlink"


class SymlinkCopyForm(StagingForm):
    """Hard links for a user."""

    method: Literal["symlink_copy"] = "symlink_copy"
