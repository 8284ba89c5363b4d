"""The steps of all flows that stage, in their order."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from prefect.client.schemas.objects import State

from tasks.check_duplicate import check_duplicate
from tasks.check_source import check_source
from tasks.run import Run
from tasks.set_read_only import set_read_only
from tasks.transfer import transfer


def stage(requests: AbstractContextManager[Run]) -> State[Any]:
    """Stage what the requests ask for, batch by batch, and return the state in which the flow run ends."""
    with requests as record:
        for batch in record.batches():
            with batch:
                check_source(batch)
                check_duplicate(batch)
                transfer(batch)
                set_read_only(batch)
    return record.conclusion()
