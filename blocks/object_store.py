"""An object store as an operator sees and edits it in Prefect's pages."""

from __future__ import annotations

from prefect.blocks.core import Block

from blocks.connections import resolve_connection
from blocks.emptied_fields import EmptiedFieldsHaveDefaults
from blocks.seeding import Seeded, seed
from stager.methods.store_area import StoreArea
from stager.models import SITES_STORE
from stager.settings import Settings

TITLE = "The object store"


class ObjectStore(Block, Seeded, EmptiedFieldsHaveDefaults, StoreArea):
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


def resolve_store(name: str = SITES_STORE) -> ObjectStore:
    """Return the object store of that name; raises as `resolve_connection`."""
    return resolve_connection(ObjectStore, name, title=TITLE)


async def seed_store(settings: Settings) -> ObjectStore | None:
    """Write what the settings say of an object store into its block, and return it; as `seed` does."""
    said = {
        "endpoint": settings.object_store_endpoint,
        "region": settings.object_store_region,
        "bucket": settings.object_store_bucket,
        "prefix": settings.object_store_prefix,
        "access_key": settings.object_store_access_key,
        "secret_key": settings.object_store_secret_key,
    }
    certificates = settings.object_store_ca_file
    return await seed(ObjectStore, SITES_STORE, said, address="endpoint", certificates=certificates, title=TITLE)
