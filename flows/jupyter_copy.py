"""Copy files and directories from a mounted storage to the user's notebook server."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from blocks.staging_form import JupyterCopyForm
from stager.methods.jupyter_copy import JupyterCopy
from tasks.run import recorded
from tasks.stage import stage


@flow(name="jupyter-copy", persist_result=False)
def jupyter_copy(request: JupyterCopyForm) -> State[Any]:
    """Copy files and directories to the user's notebook server: verified, recorded, read-only where it lets us."""
    return stage(recorded(JupyterCopy(), request=request))


@flow(name="jupyter-copy", persist_result=False)
def jupyter_copy_from_api(request_ids: tuple[str, ...]) -> State[Any]:
    """Copy what recorded requests ask for.

    Args:
        request_ids: Requests that the service handed to this run; any others are left alone.

    """
    return stage(recorded(JupyterCopy(), request_ids=request_ids))
