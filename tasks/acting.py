"""Whose rights a run works with: the user's own, wherever the destination allows it.

A run that root started makes the user's folder if there is none, and then
becomes the user for good, before it touches a file. Two things it may keep of
root's, by their names: reading and searching (CAP_DAC_READ_SEARCH) where an
area as a whole is closed to users, so that they get at it through us alone,
and giving the source's file a second name (CAP_FOWNER) for hard links.
It stays root where the user may not write: what is staged there
is written by root and given to the user.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from importlib import import_module

from stager.identity import Identity
from stager.methods import StagingMethod
from stager.methods.by_rename import PublishedByRename
from stager.paths import make_directories
from stager.privileges import Capability, become, needed_to_reach, seen_as
from stager.records import Database
from tasks.resolve import Resolver

# What is imported while a run is under way. Python's own folder may be closed
# to the user, so all of it comes before.
LATE = (
    "anyio._backends._asyncio",
    "graphviz",
    "prefect.concurrency.services",
    "prefect.task_engine",
    "prefect.utilities.visualization",
    "sqlalchemy.dialects.mysql.pymysql",
    "sqlalchemy.dialects.sqlite",
    "websockets.asyncio.client",
)


def act_for(method: StagingMethod, resolvers: Sequence[Resolver], database: Database) -> str:
    """Become the user of a run, if that is possible, and return in words who acts.

    Parameters
    ----------
    resolvers
        Of the requests that the run carries.
    database
        The records, which go on being reachable.
    """
    identity = resolvers[0].identity
    if os.geteuid() != 0 or identity.uid == 0:
        return identity.acting_as
    if not isinstance(method, PublishedByRename) or len({one.identity for one in resolvers}) > 1:
        return f"root for {identity.acting_as}"
    try:
        keep = _needed(identity, resolvers)
    except OSError as error:  # a root that may be nobody else, or a folder that no item can go to either
        return f"root for {identity.acting_as} ({error.strerror})"
    if keep is None:
        return f"root for {identity.acting_as}, who may not write there"
    keep |= method.privileges
    database.hold()
    import_late()
    become(identity, keep=keep)
    return " with ".join([identity.acting_as, *sorted(capability.name for capability in keep)])


def import_late() -> None:
    """Import what would else be imported while a run is under way."""
    for name in LATE:
        with suppress(ImportError):  # then nothing will ask for it
            import_module(name)


def _needed(identity: Identity, resolvers: Sequence[Resolver]) -> set[Capability] | None:
    """Return what of root's it takes to reach the areas; None where the user may not write."""
    homes = {resolver.home for resolver in resolvers}
    roots = {resolver.source_root for resolver in resolvers} | {home.root for home in homes}
    with ExitStack() as stack:
        folders = [
            stack.enter_context(make_directories(home, uid=identity.uid, gid=identity.gid, made=[])) for home in homes
        ]
        with seen_as(identity):
            if not all(os.access(".", os.W_OK | os.X_OK, dir_fd=one.fd, effective_ids=True) for one in folders):
                return None
            return needed_to_reach(roots)
