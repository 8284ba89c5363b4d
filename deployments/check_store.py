"""Tell whether an object store can be used as its block says: ``python -m deployments.check_store [BLOCK]``."""

from __future__ import annotations

import sys

from blocks.object_store import resolve_store
from stager.errors import StagingError
from stager.models import SITES_STORE
from stager.peers.connections import given_up_after
from stager.peers.s3.connection import StoreConnection

# How long a store may be silent, and how long the check may take; deployments are registered after it.
SILENT_SECONDS, CHECK_SECONDS = 10.0, 60.0


def found(store: StoreConnection) -> str:
    """Return what a store is able to do, for whoever connects it; raises as `check_store`, or `PeerStalled`."""
    from stager.peers.s3.check import check_store  # noqa: PLC0415 - boto3 is for those alone who ask a store

    hurried = store.model_copy(update={"stall_seconds": min(SILENT_SECONDS, store.stall_seconds)})
    with given_up_after(CHECK_SECONDS, store.title):
        return f"{store.title} can be used. {check_store(hurried).words}"


def finding(name: str, store: StoreConnection) -> str:
    """Return what a store's check has found, for whoever connects it."""
    try:
        return f"object store {name!r}: {found(store)}"
    except StagingError as error:
        return f"object store {name!r}: {error.message}"


def main() -> None:
    """Check the store that is named, and fail where something is wrong."""
    name = sys.argv[1] if len(sys.argv) > 1 else SITES_STORE
    try:
        print(found(resolve_store(name)))
    except StagingError as error:
        sys.exit(error.message)


if __name__ == "__main__":
    main()
