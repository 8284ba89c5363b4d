"""Copy files and directories from a mounted storage to the user's area."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from blocks.staging_form import LocalCopyForm
from stager.methods.local_copy import LocalCopy
from tasks.run import recorded
from tasks.stage import stage


@flow(name="local-copy", persist_result=False)
def local_copy(request: LocalCopyForm) -> State[Any]:
    """Copy files and directories to the user's area: verified, read-only, recorded."""
    return stage(recorded(LocalCopy(), request=request))


@flow(name="local-copy", persist_result=False)
def local_copy_from_api(request_ids: tuple[str, ...]) -> State[Any]:
    """Copy what recorded requests ask for.

    Args:
        request_ids: Requests that the service handed to this run; any others are left alone.

    """
    return stage(recorded(LocalCopy(), request_ids=request_ids))
