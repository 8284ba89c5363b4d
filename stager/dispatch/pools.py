"""The choice of a run's work pool: the warm worker's ready processes, or a pod that runs as the user."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stager.errors import NoPods, PoolNotAllowed
from stager.identity import Identity, resolve
from stager.records.runs import Load, RunGroup
from stager.settings import Settings
from stager.vocabulary import Pool

# Prefect's work pool of pods; prefect.yaml names it too.
POD_POOL = "staging-kubernetes"
# What a pool gives a run, in words.
IN_WORDS = {Pool.WARM: "a warm worker", Pool.POD: "a pod of its own"}


@dataclass(frozen=True, kw_only=True)
class PoolChoice:
    """The pool that a load goes to, and why, in a sentence for people."""

    pool: Pool
    why: str


def choose_pool(load: Load, settings: Settings) -> PoolChoice:
    """Return the pool that a load goes to, and why: the one rule that there is.

    What is small goes to the warm workers, where it begins at once, what is
    large to a pod; unless its request asks for another that the site lets
    callers choose, now as when it was asked for. Without Kubernetes all is warm.
    """
    pool, cause = _by_size(load, settings)
    if load.wanted_pool in pools_to_choose(settings):
        pool, cause = load.wanted_pool, "the request asks for it"
    elif load.wanted_pool is not None:
        cause = f"{cause}; the request asks for {load.wanted_pool}, which callers may not choose here any more"
    return PoolChoice(pool=pool, why=f"{IN_WORDS[pool]}: {cause}")


def pool_rule(settings: Settings) -> Callable[[Load], Pool]:
    """Return the rule's choice as a function of the load alone."""
    return lambda load: choose_pool(load, settings).pool


def pools_to_choose(settings: Settings) -> tuple[Pool, ...]:
    """Return the pools that a request may ask for: those that the operator allows and that exist there."""
    has_pods = settings.pods_namespace is not None
    return tuple(pool for pool in settings.pools_to_choose if has_pods or pool is not Pool.POD)


def check_pool(wanted: Pool | None, settings: Settings) -> None:
    """Check that a request may ask for a pool, if it does.

    Raises
    ------
    NoPods, PoolNotAllowed
        There are none, or callers may not choose that one.
    """
    allowed = pools_to_choose(settings)
    if wanted is None or wanted in allowed:
        return
    if wanted is Pool.POD and settings.pods_namespace is None:
        raise NoPods(allowed)
    raise PoolNotAllowed(wanted, allowed)


def _by_size(load: Load, settings: Settings) -> tuple[Pool, str]:
    items, size_bytes = settings.pods_from_items, settings.pods_from_bytes
    if settings.pods_namespace is None:
        return Pool.WARM, "there are no pods at this site"
    if 0 in (items, size_bytes):
        return Pool.POD, "at this site every request gets one"
    if load.items >= items:
        return Pool.POD, f"it has {_items(load)}, and gets one from {items:,} on (STAGER_PODS_FROM_ITEMS)"
    if load.size_bytes >= size_bytes:
        said = f"its items have {load.size_bytes:,} bytes, by the sizes that are known"
        return Pool.POD, f"{said}, and it gets one from {size_bytes:,} on (STAGER_PODS_FROM_BYTES)"
    return Pool.WARM, (
        f"it has {_items(load)} with {load.size_bytes:,} bytes, by the sizes that are known; "
        f"a pod is for {items:,} items or {size_bytes:,} bytes and more"
    )


def _items(load: Load) -> str:
    return "1 item" if load.items == 1 else f"{load.items:,} items"


async def pod_of(group: RunGroup, settings: Settings) -> dict[str, Any] | None:
    """Return the job variables of a run group's pod; None where a warm worker does the run.

    Raises
    ------
    InvalidUserName, UserDoesNotExist, SystemAccount, ConfigurationError
        The user's account, which the pod runs as, is not known, or one of the system's own.
    """
    if group.pool is Pool.WARM or settings.pods_namespace is None:  # there were pods when it was claimed
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
