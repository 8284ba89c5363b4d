"""Object stores as Prefect blocks."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect.blocks.core import Block
from pydantic import SecretStr, ValidationError

from blocks.object_store import ObjectStore, resolve_store, seed_store
from deployments import check_store
from stager.errors import ConfigurationError, PeerStalled
from stager.models import SITES_STORE
from stager.settings import Settings
from tests.ask_prefect import ask_prefect
from tests.deployments.block_suite import OurBlockSuite
from tests.deployments.run_module import run_module
from tests.peers.running_rclone import RunningRclone
from tests.peers.s3.conftest import connection_to, rclone

__all__ = ["rclone"]

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


@pytest.fixture
def seeded(name: str) -> Iterator[None]:
    """Leave no block of the settings' behind."""
    assert name
    yield
    with suppress(ValueError):
        ObjectStore.delete(SITES_STORE)


SAID = {
    "object_store_endpoint": "https://s3.invalid",
    "object_store_bucket": "science",
    "object_store_prefix": "staged/{username}",
    "object_store_access_key": "staging",
    "object_store_secret_key": "open-sesame",
}


def seed(**settings: object) -> ObjectStore | None:
    return asyncio.run(seed_store(Settings.model_validate({**SAID, **settings})))


@pytest.mark.usefixtures("seeded")
def test_what_the_settings_say_is_written_and_the_rest_is_the_operators(prefect_api: str) -> None:
    seed()
    document = ask_prefect("GET", f"{prefect_api}/block_types/slug/object-store/block_documents/name/{SITES_STORE}")
    assert "open-sesame" not in str(document)
    edit = {"data": {"addressing": "virtual"}, "merge_existing_data": True}
    ask_prefect("PATCH", f"{prefect_api}/block_documents/{document['id']}", edit)
    seed(object_store_secret_key="another", object_store_region="zone")
    found = resolve_store()
    assert (found.bucket, found.prefix, found.region) == ("science", "staged/{username}", "zone")
    assert (found.secret_key.get_secret_value(), found.addressing) == ("another", "virtual")


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize("endpoint", [None, ""])
def test_without_an_endpoint_the_settings_say_nothing_of_a_store(endpoint: str | None) -> None:
    assert seed(object_store_endpoint=endpoint) is None
    with pytest.raises(ConfigurationError, match="no block ObjectStore of that name"):
        resolve_store()


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"object_store_endpoint": "s3.invalid"}, "endpoint: .*no address such as"),
        ({"object_store_bucket": ""}, "bucket: .*required"),
        ({"object_store_prefix": ""}, "users would write over each other's data"),
        ({"object_store_ca_file": "/nowhere/ca.pem"}, "No such file"),
    ],
)
def test_settings_that_cannot_be_are_told(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as raised:
        seed(**wrong)
    assert "open-sesame" not in raised.value.message


def test_whoever_runs_the_check_is_told_what_the_store_can_or_what_is_wrong(
    prefect_api: str, name: str, rclone: RunningRclone, tmp_path: Path
) -> None:
    store = ObjectStore(**{**connection_to(rclone).__dict__, "prefix": "staged/{username}"})
    store.save(name, _sync=True)  # type: ignore[call-arg] # Prefect's decorator takes it
    done = run_module(prefect_api, tmp_path, "deployments.check_store", name)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{store.title} can be used. It checks Content-MD5, tells MD5s as ETags; not: ")
    done = run_module(prefect_api, tmp_path, "deployments.check_store", "nowhere")
    assert (done.returncode, "Prefect has no block ObjectStore of that name" in done.stderr) == (1, True)
    assert "Traceback" not in done.stderr


def test_a_store_that_says_nothing_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_store, "SILENT_SECONDS", 0.1)
    monkeypatch.setattr(check_store, "CHECK_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(PeerStalled, match="was not done within 1 s"):
            check_store.found(ObjectStore(**{**VALUES, "endpoint": endpoint}))


@pytest.mark.usefixtures("seeded")
def test_registration_tells_whether_the_store_of_the_settings_can_be_used(prefect_api: str, tmp_path: Path) -> None:
    settings = {f"STAGER_{name.upper()}": value for name, value in SAID.items()}
    done = run_module(
        prefect_api,
        tmp_path,
        "deployments.register",
        **(settings | {"STAGER_OBJECT_STORE_ENDPOINT": "http://127.0.0.1:9"}),
    )
    assert done.returncode == 0, done.stderr
    assert "object store 'object-store': The bucket science at http://127.0.0.1:9" in done.stdout
    assert "nobody listens there" in done.stdout
    assert "open-sesame" not in done.stdout + done.stderr
