"""Copy a file or a directory to a user's bucket, or to what is theirs in one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from stager.errors import ConfigurationError
from stager.methods.bucket_path import BucketPath
from stager.methods.method import ConnectedMethod, Promise
from stager.methods.store_area import StoreArea
from stager.paths import Place

if TYPE_CHECKING:
    from pydantic import SecretStr

    from stager.peers.s3.abilities import Abilities


class S3Copy:
    """The user gets a copy in an object store.

    Attributes
    ----------
    abilities
        What stores are able to do, by what was asked with which keys: tried once in a process, which serves one run.
    """

    name: ClassVar[str] = "s3_copy"
    place: ClassVar[type[Place]] = BucketPath
    promise: ClassVar[Promise] = Promise(
        publishes_atomically=False,
        read_only_by="retention",
        needs_account=False,
        verified_by="the MD5 of each call that sends something, by the object store, and sizes",
        width=8,
        reads_back=True,
    )
    abilities: ClassVar[dict[tuple[str | SecretStr, ...], Abilities]] = {}

    @contextmanager
    def connected(self, connection: StoreArea | None, secret: SecretStr | None) -> Iterator[ConnectedMethod]:  # noqa: ARG002 - the site's keys are used
        """Give the method with the user's bucket."""
        from stager.methods.bucket_copy import BucketCopy  # noqa: PLC0415 - boto3 is for those alone who ask a bucket

        if connection is None:
            raise ConfigurationError(self.name, "no object store is set up")
        where = connection.endpoint, connection.bucket, connection.prefix
        asked = (*where, connection.access_key, connection.secret_key)
        with connection.opened() as bucket:
            bucket.abilities = self.abilities.get(asked)
            yield BucketCopy(bucket, retention_days=connection.retention_days)
            if bucket.abilities is not None:
                self.abilities[asked] = bucket.abilities
