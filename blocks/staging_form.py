"""The form that a person fills in Prefect's pages: a staging request with areas to choose from."""

from __future__ import annotations

from typing import Any, Literal

from prefect.blocks.core import Block
from pydantic import Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from blocks.jupyterhub import JupyterHub
from blocks.object_store import ObjectStore
from blocks.storage_area import StorageAreaBlock
from stager.models import (
    SERVER_NAME,
    USER_AREA,
    ChecksumText,
    Frozen,
    Lifetime,
    Moment,
    Note,
    PathText,
    Priority,
    Size,
    StagingItem,
    StagingRequest,
)
from stager.vocabulary import Expand, OnConflict


class Form(Frozen):
    """Base of the forms that people fill in: Prefect's pages draw a field for each property of the JSON Schema."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the schema with the fields in their order, and none with a switch between a value and nothing."""
        reference = handler(core_schema)
        schema = handler.resolve_ref_schema(reference)
        properties: dict[str, dict[str, Any]] = schema["properties"]
        for position, (name, field) in enumerate(properties.items()):
            properties[name] = _without_null(field) | {"position": position}  # else in any order, by PostgreSQL
        return reference


def _without_null(field: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an optional field without null, which Prefect accepts all the same."""
    if field.get("default", "") is not None:
        return field
    del field["default"]
    value, _ = field.pop("anyOf")
    return {**field, **value}


class ItemForm(StagingItem, Form):
    """A file or a directory as a person types it in."""

    source: PathText = Field(
        title="Source", description="Path of a file or directory in the storage area, such as survey/field-1.ms"
    )
    destination: PathText = Field(
        title="Destination",
        description="Path in the user's folder, such as night-1/field-1.ms; missing folders are made",
    )
    checksum: ChecksumText | None = Field(
        None,
        title="Checksum of the source",
        description="If you know it: adler32:, sha256: or md5: and hexadecimal digits. "
        "A file that has another one is not delivered",
    )
    size_bytes: Size | None = Field(
        None,
        title="Size of the source, in bytes",
        description="If you know it: what has another size is not delivered",
    )
    expand: Expand | None = Field(
        None,
        title="Expand",
        description="Whether the source stands for many items. directory: each file below it is one. "
        "glob: each path that fits it, with *, ?, [...] and ** for any folders. prefix: each file whose path begins "
        "so. They appear below the destination, which is a folder then",
    )


class StagingForm(Form):
    """A staging request as a person types it in."""

    method: str
    username: str = Field(
        title="User", description="Account name of the person who gets the data", min_length=1, max_length=255
    )
    items: tuple[ItemForm, ...] = Field(
        title="Files and directories",
        description="What to stage, each with its source and its destination",
        min_length=1,
        max_length=10_000,
        json_schema_extra={"default": [{}]},  # so that the first one is there to be filled in
    )
    source_area: StorageAreaBlock | None = Field(
        None, title="From", description="Storage area of the sources; where none is selected, the one named source"
    )
    destination_area: StorageAreaBlock | None = Field(
        None,
        title="To",
        description="Storage area of the destinations; where none is selected, the one named user, "
        "in which each user has a folder",
    )
    on_conflict: OnConflict = Field(
        OnConflict.SKIP_IDENTICAL,
        title="If something is at the destination already",
        description="fail: fail in any case. skip_identical: skip what is the same, and fail where it differs. "
        "replace: put the new data in its place.",
    )
    deadline: Moment | None = Field(
        None, title="Deadline", description="Items that are not done by then are cancelled; mind the time zone"
    )
    lifetime: Lifetime | None = Field(
        None,
        title="How long the data are wanted, in seconds",
        description="A day has 86400, a month of 30 days 2592000. It is recorded only: nothing is removed then.",
    )
    note: Note | None = Field(None, title="Note", description="Words of your own, kept with the request")
    priority: Priority = Field(
        0,
        title="Priority",
        description="From -10 to 10: the higher goes first when requests wait for their turn. "
        "A run that is started here takes no turn: it begins as soon as a worker is free.",
    )

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the schema without a field for the method, which the flow determines and a script may give."""
        reference = super().__get_pydantic_json_schema__(core_schema, handler)
        schema = handler.resolve_ref_schema(reference)
        schema["patternProperties"] = {"^method$": schema["properties"].pop("method")}
        return reference

    def request(self) -> StagingRequest:
        """Return the staging request that was typed in."""
        return StagingRequest(
            **self.model_dump(include={*StagingRequest.model_fields} - {"source_area", "destination_area"}),
            source_area=_name_of(self.source_area, default="source"),
            destination_area=self._destination(),
        )

    def _destination(self) -> str:
        return _name_of(self.destination_area, default=USER_AREA)


def _name_of(block: Block | None, *, default: str) -> str:
    return default if block is None else str(block._block_document_name)  # noqa: SLF001 - Prefect tells it nowhere else


class LocalCopyForm(StagingForm):
    """What to copy, for whom, from where and to where."""

    method: Literal["local_copy"] = "local_copy"


class LocalSymlinkForm(StagingForm):
    """What to link to, for whom, from where and to where."""

    method: Literal["local_symlink"] = "local_symlink"


class SymlinkCopyForm(StagingForm):
    """Which files to link, for whom, from where and to where."""

    method: Literal["symlink_copy"] = "symlink_copy"


class JupyterCopyForm(StagingForm):
    """What to copy to a notebook server, for whom, from where and to where."""

    method: Literal["jupyter_copy"] = "jupyter_copy"
    destination_area: JupyterHub | None = Field(  # type: ignore[assignment] # its name alone counts, as an area's does
        None,
        title="To",
        description="JupyterHub of the notebook server; where none is selected, the one named jupyterhub",
    )
    server: str = Field(
        "",
        title="Notebook server",
        description="One of the user's own by its name, as its address has it; where empty, their default server",
        pattern=rf"^({SERVER_NAME})?$",
    )

    def _destination(self) -> str:
        hub = super()._destination()
        return f"{hub}/{self.server}" if self.server else hub


class S3CopyForm(StagingForm):
    """What to copy to an object store, for whom, from where and to where."""

    method: Literal["s3_copy"] = "s3_copy"
    destination_area: ObjectStore | None = Field(  # type: ignore[assignment] # likewise
        None,
        title="To",
        description="Object store in which the user has a bucket, or a part of one; "
        "where none is selected, the one named object-store",
    )
