"""Object stores as Prefect blocks."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from prefect.blocks.core import Block
from pydantic import SecretStr, ValidationError

from blocks.object_store import ObjectStore, resolve_store
from stager.errors import ConfigurationError
from tests.deployments.block_suite import OurBlockSuite

VALUES: dict[str, Any] = {
    "endpoint": "https://s3.invalid",
    "bucket": "science",
    "prefix": "staged/{username}",
    "access_key": "staging",
    "secret_key": SecretStr("open-sesame"),
}


class TestObjectStore(OurBlockSuite):
    @pytest.fixture
    def block(self) -> type[Block]:
        return ObjectStore


@pytest.fixture
def name(prefect_api: str) -> str:
    """The name of a store's block of the test's own; the kind is known to Prefect."""
    assert prefect_api
    ObjectStore.register_type_and_schema()
    return f"store-{uuid4().hex[:8]}"


def test_what_was_filled_in_is_found_by_its_name_with_its_secret(name: str) -> None:
    ObjectStore(**VALUES).save(name, _sync=True)  # type: ignore[call-arg] # Prefect's decorator takes it
    found = resolve_store(name)
    assert (found.bucket, found.secret_key.get_secret_value()) == ("science", "open-sesame")
    assert found.of_user("alice").prefix == "staged/alice"


def test_a_store_that_nobody_has_filled_in_is_named(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"The object store '{name}'.*Prefect has no block ObjectStore"):
        resolve_store(name)


@pytest.mark.parametrize(
    ("field", "value"),
    [("endpoint", "s3.invalid"), ("endpoint", "https://s3.invalid/bucket"), ("bucket", "a b"), ("prefix", "everybody")],
)
def test_what_cannot_be_is_refused_when_it_is_filled_in_and_no_secret_is_told(field: str, value: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ObjectStore(**{**VALUES, field: value})
    assert "open-sesame" not in str(refused.value)
