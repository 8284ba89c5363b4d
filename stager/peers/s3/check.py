"""Whether a bucket can be used as its operator says, or what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from stager.errors import PeerRefused
from stager.peers.s3.abilities import Abilities, abilities_of
from stager.peers.s3.connection import StoreConnection


def check_store(connection: StoreConnection) -> Abilities:
    """Return what the bucket's store is able to do, where we may list, write and delete there.

    Raises
    ------
    ConfigurationError
        There are no keys, or the endpoint, its region or the addressing is another.
    BucketUnknown, StoreKeysRefused, StoreKeysExpired, ClockSkewed
        It does not exist, or does not take our keys, or not at our time.
    PeerRefused
        We may not do there what is needed: with the right that is missing.
    PeerNotReachable, PeerStalled, PeerFault, PeerBusy
        There is no answer: the name leads nowhere, nobody listens, the certificate is not trusted.
    """
    with connection.opened() as bucket:
        with _needing("s3:ListBucket"):
            next(bucket.list(bucket.prefix, limit=1), None)
        with _needing("s3:PutObject, s3:GetObject and s3:AbortMultipartUpload"):
            found = abilities_of(bucket)
        if not found.may_delete:
            reason = "our keys have not the right s3:DeleteObject, by which what was not delivered whole is removed"
            raise PeerRefused(bucket.title, reason)
        return found


@contextmanager
def _needing(rights: str) -> Iterator[None]:
    """Say which rights are missing where something is not allowed."""
    try:
        yield
    except PeerRefused as error:
        raise PeerRefused(error.peer, f"{error.reason}; our keys need the right {rights}") from error
