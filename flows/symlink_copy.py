"""Put hard links to a mounted storage into the user's area."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from blocks.staging_form import SymlinkCopyForm
from stager.methods.symlink_copy import SymlinkCopy
from tasks.check_duplicate import check_duplicate
from tasks.check_source import check_source
from tasks.record import recorded
from tasks.set_read_only import set_read_only
from tasks.transfer import transfer


@flow(name="symlink-copy", persist_result=False)
def symlink_copy(request: SymlinkCopyForm | None = None, request_ids: tuple[str, ...] = ()) -> State[Any]:
    """Put hard links into the user's area: the same files, without a copy.

    Args:
        request: What to stage. It is recorded first, like a request by API.
        request_ids: Leave this empty; it names requests that are recorded already.

    """
    with recorded(SymlinkCopy(), request=request, request_ids=request_ids) as record:
        for batch in record.batches():
            with batch:
                check_source(batch)
                check_duplicate(batch)
                transfer(batch)
                set_read_only(batch)
    return record.conclusion()
