"""Put hard links to a mounted storage into the user's area."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from blocks.staging_form import SymlinkCopyForm
from stager.methods.symlink_copy import SymlinkCopy
from tasks.run import recorded
from tasks.stage import stage


@flow(name="symlink-copy", persist_result=False)
def symlink_copy(request: SymlinkCopyForm) -> State[Any]:
    """Put hard links into the user's area: other names of the same files, without a copy."""
    return stage(recorded(SymlinkCopy(), request=request))


@flow(name="symlink-copy", persist_result=False)
def symlink_copy_from_api(request_ids: tuple[str, ...]) -> State[Any]:
    """Put the hard links that recorded requests ask for.

    Args:
        request_ids: Requests that the service handed to this run; any others are left alone.

    """
    return stage(recorded(SymlinkCopy(), request_ids=request_ids))
