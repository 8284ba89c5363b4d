"""Put symbolic links to a mounted storage into the user's area."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from blocks.staging_form import LocalSymlinkForm
from stager.methods.local_symlink import LocalSymlink
from tasks.run import recorded
from tasks.stage import stage


@flow(name="local-symlink", persist_result=False)
def local_symlink(request: LocalSymlinkForm) -> State[Any]:
    """Put symbolic links into the user's area, to the sources at the paths where users see them."""
    return stage(recorded(LocalSymlink(), request=request))


@flow(name="local-symlink", persist_result=False)
def local_symlink_from_api(request_ids: tuple[str, ...]) -> State[Any]:
    """Put the symbolic links that recorded requests ask for.

    Args:
        request_ids: Requests that the service handed to this run; any others are left alone.

    """
    return stage(recorded(LocalSymlink(), request_ids=request_ids))
