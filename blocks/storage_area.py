"""A storage area as an operator sees and edits it in Prefect's pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from prefect.blocks.core import Block
from pydantic import Field, field_validator, model_validator

from stager.models import StorageArea


class StorageAreaBlock(Block):
    """A folder of a mounted storage that data are staged from and, if it is a destination, to."""

    _block_type_name = "Storage area"
    _block_type_slug = "storage-area"
    _description = "A folder of a mounted storage to stage from, or to. Requests name it by this block's name."
    _code_example = """
```python
from blocks.areas import resolve_area

area = resolve_area("source")
```"""

    path: Path = Field(description="Where it is mounted in the processes that stage: an absolute path.")
    path_for_users: Path | None = Field(None, description="Where users see it, when not at the same path.")
    per_user: bool = Field(default=False, description="Paths are relative to a folder of the user's name in it.")
    read_as: Literal["user", "service"] = Field(
        "user",
        description="Whose rights it is read with: the user's, or the service's where users cannot enter it.",
    )
    is_destination: bool = Field(default=False, description="Whether data may be staged to it, not only from it.")
    seeded_from: str | None = Field(
        None, description="The site's settings when this block was last written by them. Leave it as it is."
    )

    @model_validator(mode="before")
    @classmethod
    def _users_areas_are_destinations(cls, said: Any) -> Any:  # noqa: ANN401 - whatever was saved
        """Read a block that was saved before areas had a direction: areas with user folders were destinations."""
        if isinstance(said, dict) and "is_destination" not in said:
            return {**said, "is_destination": bool(said.get("per_user"))}
        return said

    @field_validator("path")
    @classmethod
    def _check_path(cls, path: Path) -> Path:
        if not path.is_absolute():
            message = f"{str(path)!r} is not an absolute path: it would mean another folder in each process"
            raise ValueError(message)
        return path

    def area(self, name: str) -> StorageArea:
        """Return the area that the block describes."""
        return StorageArea(name=name, **self.model_dump(include=StorageArea.model_fields.keys() - {"name"}))
