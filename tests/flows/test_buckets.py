"""The flow into buckets, against a real object store."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from blocks.object_store import ObjectStore
from stager.methods.s3_copy import S3Copy
from stager.models import Status
from stager.peers.s3.bucket import Bucket
from stager.records.events import events_of
from stager.records.leases import renew_leases
from stager.records.shared_limits import take_slot
from tests.flows.conftest import RUN, STEPS, Site
from tests.patience import PATIENCE
from tests.peers.faulty_proxy import FaultyProxy, done_and_then
from tests.peers.running_rclone import RunningRclone
from tests.peers.s3.conftest import BUCKET, rclone  # noqa: F401 - the store: the same, for these tests

CONTENT = b"SIMPLE  =                    T"


@dataclass(frozen=True)
class Store:
    """A site whose object store is real, and the folder that has alice's objects."""

    site: Site
    block: ObjectStore
    bucket: Bucket
    prefix: str
    home: Path

    def stage(self, *sources: str, **how: str) -> tuple[str, str, str]:
        """Return the request, and its run's final state and log."""
        request_id = self.site.request(*((one, one) for one in sources), method="s3_copy", **how)  # type: ignore[arg-type]
        return request_id, *self.site.run("s3_copy", request_id)

    def keys(self) -> list[str]:
        return [one.key.removeprefix(f"{self.prefix}/") for one in self.bucket.list(f"{self.prefix}/")]


@pytest.fixture
def store(site: Site, rclone: RunningRclone) -> Iterator[Store]:  # noqa: F811
    prefix = f"flow-{uuid.uuid4().hex}"
    keys = {"access_key": rclone.access_key, "secret_key": SecretStr(rclone.secret_key)}
    block = ObjectStore(endpoint=rclone.endpoint, bucket=BUCKET, prefix=f"{prefix}/{{username}}", **keys)
    block.save("object-store", overwrite=True, _sync=True)  # type: ignore[call-arg] # Prefect's decorator takes it
    own = block.of_user("alice")
    site.settings["ALLOWED_METHODS"] = '["s3_copy"]'
    with own.opened() as bucket:
        yield Store(site, block, bucket, own.prefix, rclone.folder / "store" / BUCKET / own.prefix)


def test_a_file_and_a_directory_arrive_in_the_bucket_and_are_known_again(store: Store) -> None:
    product = store.site.folder / "storage/field.ms"
    (product / "sub").mkdir(parents=True)
    (product / "table.dat").write_bytes(b"1" * 5000)
    (product / "sub/empty").touch()
    request_id, state, log = store.stage("a.fits", "field.ms")
    assert state.startswith("Completed"), log
    assert [step for step, _ in store.site.task_runs(request_id, len(STEPS))] == STEPS
    assert store.keys() == ["a.fits", "field.ms/.stager-manifest.json", "field.ms/sub/empty", "field.ms/table.dat"]
    assert (store.home / "a.fits").read_bytes() == CONTENT
    files = store.site.files(request_id)
    assert [(file.status, file.checksum_algorithm) for file in files] == [(Status.COMPLETED, "sha256")] * 2
    assert {file.left_writable for file in files} == {"the operator has set no retention for the object store"}
    top = f"s3://{BUCKET}/{store.prefix}"
    assert [file.seen_at for file in files] == [f"{top}/a.fits", f"{top}/field.ms"]
    again, state, log = store.stage("a.fits", "field.ms")
    assert state.startswith("Completed"), log
    assert [file.status for file in store.site.files(again)] == [Status.SKIPPED] * 2


def test_what_is_there_and_differs_is_neither_overwritten_nor_taken_for_delivered(store: Store) -> None:
    store.home.mkdir(parents=True)
    (store.home / "a.fits").write_bytes(b"precious")
    request_id, state, _ = store.stage("a.fits")
    assert state.startswith("Failed")
    assert [file.error_type for file in store.site.files(request_id)] == ["DestinationDiffers"]
    assert (store.home / "a.fits").read_bytes() == b"precious"


def test_a_store_that_is_not_there_is_named_and_one_whose_keys_do_not_count_says_so(store: Store) -> None:
    request_id, state, _ = store.stage("a.fits", to="elsewhere")
    assert state.startswith("Failed")
    assert "The object store 'elsewhere'" in (store.site.files(request_id)[0].error_reason or "")
    wrong = store.block.model_copy(update={"secret_key": SecretStr("wrong")})
    wrong.save("wrong-keys", overwrite=True, _sync=True)  # type: ignore[call-arg]
    request_id, state, _ = store.stage("a.fits", to="wrong-keys")
    assert state.startswith("Failed")
    assert [file.error_type for file in store.site.files(request_id)] == ["StoreKeysRefused"]
    assert "wrong" not in (store.site.files(request_id)[0].error_reason or "")
    assert store.keys() == []


@pytest.mark.parametrize("site", ["sqlite"], indirect=True)
def test_a_run_that_is_killed_in_the_middle_of_a_call_is_taken_up_and_nothing_of_it_is_left(store: Store) -> None:
    site = store.site
    (site.folder / "storage/large").write_bytes(b"1" * (3 << 20))
    site.settings["STAGER_LEASE"] = "5"
    with FaultyProxy.before(store.block.endpoint).running() as proxy:
        behind = store.block.model_copy(update={"endpoint": proxy.in_front_of(store.block.endpoint).rstrip("/")})
        behind.save("behind-a-proxy", overwrite=True, _sync=True)  # type: ignore[call-arg]
        request_id = site.request(("large", "large"), method=S3Copy.name, to="behind-a-proxy")
        flow_run_id = site.flow_run("s3_copy", request_id)
        with site.executing(RUN, "s3_copy", flow_run_id) as killed:
            proxy.break_calls("part", done_and_then(killed.kill), spared=2)  # those that try what the store can do
            killed.wait(PATIENCE)
        assert killed.returncode == -signal.SIGKILL
        with site.executing(RUN, "s3_copy", flow_run_id) as again:
            assert site.ended(again)[0].startswith("Completed")
    assert [file.status for file in site.files(request_id)] == [Status.COMPLETED]
    assert store.keys() == ["large"]
    assert [*store.bucket.unfinished(f"{store.prefix}/")] == []


@pytest.mark.parametrize("site", ["sqlite"], indirect=True)
def test_a_run_waits_while_as_much_goes_to_the_store_as_its_operator_allows_and_says_so(store: Store) -> None:
    site = store.site
    store.block.model_copy(update={"max_transfers": 1}).save("narrow", overwrite=True, _sync=True)  # type: ignore[call-arg]
    request_id = site.request(("a.fits", "a.fits"), method=S3Copy.name, to="narrow")
    server = f"The object store at {store.block.endpoint}"
    assert take_slot(site.database, server, slots=1, request_id="r", holder="another", seconds=PATIENCE)

    def waits() -> list[tuple[str, str | None]]:
        events = events_of(site.database, request_id)
        return [(event.kind, event.cause) for event in events if event.kind in {"waiting", "waited"}]

    with site.running("s3_copy", request_id) as run:
        site.eventually(lambda: ("waiting", "LimitReached") in waits())
        assert store.keys() == []
        renew_leases(site.database, holder="another", seconds=0)
        assert site.ended(run)[0].startswith("Completed")
    assert waits()[-1] == ("waited", "Working")
    assert store.keys() == ["a.fits"]
