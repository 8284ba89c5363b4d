"""The choice of a run's work pool: the warm worker's ready processes, or a pod that runs as the user."""

from __future__ import annotations

import asyncio
from typing import Any

from stager.identity import Identity, resolve
from stager.records.runs import Load, RunGroup
from stager.settings import Settings

# Prefect's work pool of pods; prefect.yaml names it too.
POD_POOL = "staging-kubernetes"


def needs_pod(load: Load, settings: Settings) -> bool:
    """Return whether requests of that load get a pod of their own.

    What is small goes to the warm workers, where it begins at once. Where
    there is no Kubernetes, everything does.
    """
    has_pods = settings.pods_namespace is not None
    return has_pods and load.is_over(items=settings.pods_from_items, size_bytes=settings.pods_from_bytes)


async def pod_of(group: RunGroup, settings: Settings) -> dict[str, Any] | None:
    """Return the job variables of a run group's pod; None where a warm worker does the run.

    Raises
    ------
    InvalidUserName, UserDoesNotExist, SystemAccount, ConfigurationError
        The user's account, which the pod runs as, is not known, or one of the system's own.
    """
    if not needs_pod(group.load, settings):
        return None
    identity = await asyncio.to_thread(
        resolve, group.username, users_file=settings.users_file, least_id=settings.least_user_id
    )
    return _account(identity)


def _account(identity: Identity) -> dict[str, Any]:
    """Return a user's account as the job variables of deployments/job_template.yaml."""
    return {
        "run_as_user": identity.uid,
        "run_as_group": identity.gid,
        "supplemental_groups": list(identity.groups),
    }
