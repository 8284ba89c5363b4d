"""Fields that somebody has emptied in Prefect's pages."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, model_validator


class EmptiedFieldsHaveDefaults(BaseModel):
    """A model in which a field that says nothing has its default: Prefect's pages save an emptied one as null."""

    @model_validator(mode="before")
    @classmethod
    def _take_an_emptied_field_for_its_default(cls, said: Any) -> Any:  # noqa: ANN401 - whatever was saved
        if isinstance(said, dict):
            return {name: value for name, value in said.items() if value is not None}
        return said
