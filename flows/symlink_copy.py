"""Put hard links to a mounted storage into the user's area."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from blocks.staging_form import SymlinkCopyForm
from stager.methods.symlink_copy import SymlinkCopy
from tasks.check_duplicate import check_duplicate
from tasks.check_source import check_source
from tasks.run import Run, recorded
from tasks.set_read_only import set_read_only
from tasks.transfer import transfer


@flow(name="symlink-copy", persist_result=False)
def symlink_copy(request: SymlinkCopyForm) -> State[Any]:
    """Put hard links into the user's area: other names of the same files, without a copy."""
    return _stage(recorded(SymlinkCopy(), request=request))


@flow(name="symlink-copy", persist_result=False)
def symlink_copy_from_api(request_ids: tuple[str, ...]) -> State[Any]:
    """Put the hard links that recorded requests ask for.

    Args:
        request_ids: Requests that the service handed to this run; any others are left alone.

    """
    return _stage(recorded(SymlinkCopy(), request_ids=request_ids))


def _stage(requests: AbstractContextManager[Run]) -> State[Any]:
    with requests as record:
        for batch in record.batches():
            with batch:
                check_source(batch)
                check_duplicate(batch)
                transfer(batch)
                set_read_only(batch)
    return record.conclusion()
