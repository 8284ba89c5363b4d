"""Tell whether an object store can be used as its block says: ``python -m deployments.check_store [BLOCK]``."""

from __future__ import annotations

from blocks.object_store import resolve_store
from deployments.connection_checks import run_check
from stager.models import SITES_STORE
from stager.peers.connections import given_up_after
from stager.peers.s3.connection import StoreConnection

TITLE = "object store"
# How long a store may be silent, and how long the check may take; deployments are registered after it.
SILENT_SECONDS, CHECK_SECONDS = 10.0, 60.0


def found(store: StoreConnection) -> str:
    """Return what a store is able to do, for whoever connects it; raises as `check_store`, or `PeerStalled`."""
    from stager.peers.s3.check import check_store  # noqa: PLC0415 - boto3 is for those alone who ask a store

    hurried = store.model_copy(update={"stall_seconds": min(SILENT_SECONDS, store.stall_seconds)})
    with given_up_after(CHECK_SECONDS, store.title):
        return f"{store.title} can be used. {check_store(hurried).words}"


if __name__ == "__main__":
    run_check(lambda name: found(resolve_store(name)), default=SITES_STORE)
