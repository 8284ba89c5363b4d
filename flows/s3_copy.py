"""Copy files and directories from a mounted storage to the user's bucket."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from blocks.staging_form import S3CopyForm
from stager.methods.s3_copy import S3Copy
from tasks.run import recorded
from tasks.stage import stage


@flow(name="s3-copy", persist_result=False)
def s3_copy(request: S3CopyForm) -> State[Any]:
    """Copy files and directories to the user's bucket: verified, recorded, retained where it lets us."""
    return stage(recorded(S3Copy(), request=request))


@flow(name="s3-copy", persist_result=False)
def s3_copy_from_api(request_ids: tuple[str, ...]) -> State[Any]:
    """Copy what recorded requests ask for.

    Args:
        request_ids: Requests that the service handed to this run; any others are left alone.

    """
    return stage(recorded(S3Copy(), request_ids=request_ids))
