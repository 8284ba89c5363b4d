"""The sweep, a flow that removes what runs that died left behind."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from tasks.sweep import sweep_folders


@flow(name="sweep")
def sweep(days: int = 30) -> State[Any]:
    """Remove the temporary files that dead runs left in folders where no run has staged since.

    Args:
        days: How old the requests may be whose destinations are looked at.

    """
    removed = sweep_folders(days)
    return Completed(message=f"{removed} leftovers removed")
