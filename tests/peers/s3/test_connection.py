"""What an operator says of a bucket, and what is told of what is wrong with it."""

from __future__ import annotations

import pickle
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from stager.errors import (
    BucketUnknown,
    ConfigurationError,
    PeerNotReachable,
    PeerRefused,
    StagingError,
    StoreKeysRefused,
)
from stager.peers.s3 import abilities
from stager.peers.s3.abilities import Abilities, abilities_of
from stager.peers.s3.bucket import Bucket
from stager.peers.s3.check import check_store
from stager.peers.s3.connection import StoreConnection
from stager.peers.s3.single import put
from tests.peers.running_rclone import RunningRclone
from tests.peers.running_rgw import RunningRgw
from tests.peers.s3.conftest import LOCKED, connection_to, hurried, raw_client

GIVEN = {"endpoint": "https://s3.example.org", "bucket": "data", "access_key": "AKEY", "secret_key": "hunter2"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"endpoint": "s3.example.org"}, "no address"),
        ({"endpoint": "ftp://s3.example.org"}, "no address"),
        ({"endpoint": "https://s3.example.org:abc"}, "Port"),
        ({"endpoint": "https://hunter2:x@s3.example.org"}, "only a host and a port"),
        ({"endpoint": "https://s3.example.org/data"}, "only a host and a port"),
        ({"bucket": "a/b"}, "no name of a bucket"),
        ({"prefix": "a/../b"}, "is no name"),
        ({"certificates": "hunter2"}, "no certificate in it"),
        ({"addressing": "guess"}, "path"),
        ({"files_at_once": 0}, "greater than"),
    ],
)
def test_what_cannot_be_is_refused_without_showing_secrets(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words) as raised:
        StoreConnection.model_validate(GIVEN | given)
    assert "hunter2" not in str(raised.value)


def test_a_connection_shows_no_secret() -> None:
    connection = StoreConnection.model_validate(GIVEN | {"session_token": "hunter2"})
    assert "hunter2" not in f"{connection!r} {connection} {connection.model_dump()} {connection.title}"


@pytest.mark.parametrize(
    ("prefix", "account", "found"),
    [
        ("", "", ""),
        ("/data/", "", "data"),
        ("data/{username}", "alice", "data/alice"),
        ("{username}", "alice", "alice"),
    ],
)
def test_a_users_keys_begin_with_their_prefix(prefix: str, account: str, found: str) -> None:
    assert StoreConnection.model_validate(GIVEN | {"prefix": prefix}).prefix_of(account) == found


def test_without_keys_nothing_is_asked() -> None:
    connection = StoreConnection.model_validate(GIVEN | {"secret_key": ""})
    with pytest.raises(ConfigurationError, match="no access key"), connection.opened():
        pass


def test_neither_the_environment_nor_files_of_the_machine_say_who_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rclone: RunningRclone
) -> None:
    (tmp_path / "config").write_text("[default]\nregion = nowhere\nendpoint_url = http://nobody.invalid\n")
    for name, value in {
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_PROFILE": "nobody",
        "AWS_ENDPOINT_URL": "http://nobody.invalid",
        "AWS_ENDPOINT_URL_S3": "http://nobody.invalid",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nobody",
        "AWS_CA_BUNDLE": "/nowhere",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "AWS_USE_DUALSTACK_ENDPOINT": "true",
        "HTTP_PROXY": "http://nobody.invalid",
        "http_proxy": "http://nobody.invalid",
    }.items():
        monkeypatch.setenv(name, value)
    with connection_to(rclone).opened() as bucket:
        assert list(bucket.list("nothing/")) == []


def test_what_ceph_is_able_to_do_is_found_out(ceph: Bucket) -> None:
    assert abilities_of(ceph) == Abilities(
        refuses_existing_put=True, checks_md5=True, etag_is_md5=True, etag_is_of_parts=True, takes_tags=True
    )


def test_what_rclone_is_able_to_do_is_found_out(rclone: RunningRclone) -> None:
    connection = connection_to(rclone)
    found = check_store(connection)
    assert found == Abilities(checks_md5=True, etag_is_md5=True)
    assert found.words.startswith("It checks Content-MD5, tells MD5s as ETags; not: refuses to replace what is there,")
    with connection.opened() as bucket:
        assert [one.key for one in bucket.list(connection.prefix) if "probe" in one.key] == []


def test_a_bucket_that_locks_objects_is_told_and_no_probe_stays_there(rgw: RunningRgw) -> None:
    connection = connection_to(rgw, bucket=LOCKED)
    found = check_store(connection)
    assert (found.locks_objects, found.keeps_versions) == (True, True)
    with raw_client(connection) as client:
        assert "Versions" not in client.list_object_versions(Bucket=LOCKED, Prefix=f"{connection.prefix}/.stager-probe")


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ({"access_key": "nobody"}, StoreKeysRefused, "does not take our keys: InvalidAccessKeyId"),
        ({"secret_key": "hunter2"}, StoreKeysRefused, "does not take our keys: SignatureDoesNotMatch"),
        ({"bucket": "nowhere"}, BucketUnknown, "The bucket nowhere at https://127.0.0.1:[0-9]+ does not exist"),
        ({"certificates": ""}, PeerNotReachable, "its certificate is not trusted"),
        ({"endpoint": "https://127.0.0.1:9"}, PeerNotReachable, "nobody listens there"),
        ({"endpoint": "https://store.invalid"}, PeerNotReachable, "its name leads to no address"),
        ({"endpoint": "{plain}"}, PeerNotReachable, "no TLS is spoken there"),
    ],
)
def test_what_is_wrong_with_a_bucket_is_told(
    rgw: RunningRgw, given: dict[str, str], kind: type[StagingError], words: str
) -> None:
    given = {name: value.format(plain=f"https://127.0.0.1:{rgw.plain_port}") for name, value in given.items()}
    with connection_to(rgw, **given).opened() as bucket, pytest.raises(kind, match=words) as raised:
        next(hurried(bucket).list(""), None)
    assert "hunter2" not in raised.value.message
    assert rgw.secret_key not in raised.value.message


def test_a_right_that_is_missing_is_named(rgw: RunningRgw) -> None:
    rgw.make_user("guest", access_key="guestguest", secret_key="guests-secret")
    with pytest.raises(PeerRefused, match=r"AccessDenied.*our keys need the right s3:ListBucket"):
        check_store(connection_to(rgw, access_key="guestguest", secret_key="guests-secret"))


def test_a_users_own_keys_take_the_place_of_the_services(rgw: RunningRgw) -> None:
    connection = connection_to(rgw, access_key="nobody", secret_key="nobody")
    own = connection_to(rgw).secret_key
    with connection.opened("alice", access_key=rgw.access_key, secret_key=own) as bucket:
        assert next(bucket.list(connection.prefix), None) is None


@pytest.mark.parametrize("own", [{"access_key": "hers", "secret_key": ""}, {"access_key": "hers"}, {"secret_key": ""}])
def test_half_of_a_users_own_keys_is_not_made_up_for_by_the_services(own: dict[str, str]) -> None:
    keys = {name: SecretStr(value) if name == "secret_key" else value for name, value in own.items()}
    connection = StoreConnection.model_validate(GIVEN)
    with pytest.raises(ConfigurationError, match="no access key"), connection.opened("alice", **keys):  # type: ignore[arg-type]
        pass


def test_a_connection_can_be_handed_to_another_process() -> None:
    connection = StoreConnection.model_validate(GIVEN)
    assert pickle.loads(pickle.dumps(connection)) == connection


def test_what_a_killed_trial_has_left_is_removed_by_a_later_one_and_nothing_else(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = f"{bucket.prefix}/{abilities.PROBE}"
    left, others = f"{top}{'0' * 16}", [f"{top}{'1' * 16}", f"{top}of-mine", f"{bucket.prefix}/a"]
    for key in (left, *others):
        put(bucket, key, b"precious" if key == others[0] else b"1")
    monkeypatch.setattr(bucket, "abilities", None)
    abilities_of(bucket)
    assert [one.key for one in bucket.list(bucket.prefix)] == [left, *others]  # it may be at work still
    monkeypatch.setattr(abilities, "PROBE_LASTS", timedelta(days=-1))
    monkeypatch.setattr(bucket, "abilities", None)
    abilities_of(bucket)
    assert [one.key for one in bucket.list(bucket.prefix)] == others
