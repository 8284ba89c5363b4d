"""Copy files and directories from a mounted storage to the user's area."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from blocks.staging_form import LocalCopyForm
from stager.methods.local_copy import LocalCopy
from tasks.check_duplicate import check_duplicate
from tasks.check_source import check_source
from tasks.record import recorded
from tasks.set_read_only import set_read_only
from tasks.transfer import transfer


@flow(name="local-copy", persist_result=False)
def local_copy(request: LocalCopyForm | None = None, request_ids: tuple[str, ...] = ()) -> State[Any]:
    """Copy files and directories to the user's area: verified, read-only, recorded.

    Args:
        request: What to stage. It is recorded first, like a request by API.
        request_ids: Leave this empty; it names requests that are recorded already.

    """
    with recorded(LocalCopy(), request=request, request_ids=request_ids) as record:
        for batch in record.batches():
            with batch:
                check_source(batch)
                check_duplicate(batch)
                transfer(batch)
                set_read_only(batch)
    return record.conclusion()
