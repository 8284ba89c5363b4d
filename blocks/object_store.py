"""An object store as an operator sees and edits it in Prefect's pages."""

from __future__ import annotations

from typing import Any

from prefect.blocks.core import Block
from pydantic import model_validator

from blocks.connections import resolve_connection
from stager.methods.store_area import StoreArea
from stager.models import SITES_STORE


class ObjectStore(Block, StoreArea):
    """An object store that speaks S3, into which users' data are brought."""

    _block_type_name = "Object store"
    _block_type_slug = "object-store"
    _description = "An object store that speaks S3, and which bucket or prefix of it is which user's."
    _documentation_url = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/"  # type: ignore[assignment] # a string to Prefect too
    _code_example = """
```python
from blocks.object_store import ObjectStore

store = ObjectStore.load("BLOCK_NAME")
```"""

    @model_validator(mode="before")
    @classmethod
    def _take_an_emptied_field_for_its_default(cls, said: Any) -> Any:  # noqa: ANN401 - whatever was saved
        if isinstance(said, dict):
            return {name: value for name, value in said.items() if value is not None}
        return said


def resolve_store(name: str = SITES_STORE) -> ObjectStore:
    """Return the object store of that name; raises as `resolve_connection`."""
    return resolve_connection(ObjectStore, name, title="The object store")
